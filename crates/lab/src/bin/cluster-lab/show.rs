//! What `cluster-lab` prints. Nothing else in the program writes to the terminal.

use crate::app::App;
use lab::Lab;
use std::io::{self, Write};

/// One line of output. A closed pipe is no reason to stop what is under way.
pub(crate) fn line(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// One line of complaint.
pub(crate) fn error(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// A table of the hosts.
pub(crate) fn status(lab: &Lab) -> anyhow::Result<()> {
    line("HOST   ADDRESS        POWER  CABLE  ENGINE   CLUSTERD  EDGE      DEAF TO");
    for number in lab.numbers() {
        let (host, status) = (lab.host(number)?, lab.host_status(number)?);
        let pid = |pid: Option<i32>| pid.map_or("-".to_owned(), |pid| pid.to_string());
        let deaf: Vec<_> = status.deaf_to.iter().map(ToString::to_string).collect();
        line(&format!(
            "{:<6} {:<14} {:<6} {:<6} {:<8} {:<9} {:<9} {}",
            host.name,
            host.address.to_string(),
            if status.on { "on" } else { "off" },
            if status.cable { "in" } else { "cut" },
            if status.engine { "answers" } else { "silent" },
            pid(status.daemon),
            pid(status.edge),
            deaf.join(" "),
        ));
    }
    Ok(())
}

/// What a person may want to do with a fresh lab.
pub(crate) fn hints(lab: &Lab, app: &App, formed: bool, bare: bool) -> anyhow::Result<()> {
    status(lab)?;
    let (first, second) = (lab.host(1)?, lab.host(lab.options().hosts)?);
    line("");
    if bare {
        line("Engines:        cluster-lab docker 1 ps");
        return Ok(());
    }
    line("clusterctl against host 1, 2, ...:");
    for number in lab.numbers() {
        let command = lab.clusterctl_command(number)?;
        let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
        line(&format!("  {} {}", command.get_program().display(), args.join(" ")));
    }
    line("or, shorter,    cluster-lab ctl 1 ...");
    line("");
    if !formed {
        line(&format!("Found a cluster: cluster-lab ctl 1 init --advertise {}", first.address));
        line("A token to join: cluster-lab ctl 1 token manager");
        line(&format!(
            "Join it:         cluster-lab ctl {} join --token TOKEN {} --advertise {}",
            second.number,
            first.control_address(),
            second.address
        ));
    }
    line(&format!("Deploy:          cluster-lab ctl 1 deploy -f {}", app.compose.display()));
    line(&format!("Visit:           curl http://{}:8080/", first.address));
    line("Break it:        cluster-lab cut 1 | kill 2 | pause 3 | cut-link 1 2 | heal");
    line("Remove it:       cluster-lab down");
    Ok(())
}

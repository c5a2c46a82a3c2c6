//! Images under the names of real ones, for projects as people have them. Each holds a shell and scripts called as
//! the real programs are; they insist on what those insist on, and serve a page where those serve.

use crate::cluster::{Cluster, Step};
use lab::ImageSource;
use serde_json::json;

/// `serve PORT FOLDER`
const SERVE: &str = r#"trap 'kill $!; exit 0' TERM INT
httpd -f -p "$1" -h "$2" &
wait $!
"#;
/// `get HOST[:PORT]`: by hand, since the `wget` of a static busybox cannot look a name up.
const GET: &str = r#"port=${1##*:}
[ "$port" = "$1" ] && port=80
printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 2 "${1%%:*}" "$port" | sed '1,/^.$/d' | grep .
"#;
const EXEC: &str = "exec \"$@\"\n";
/// What every image has.
const COMMON: [(&str, &str); 3] = [("serve", SERVE), ("get", GET), ("docker-entrypoint.sh", EXEC)];

/// An image: its name, its entry point and command, and its scripts by name; `page` is what its server answers.
type StandIn = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

pub(crate) const WORDPRESS: [StandIn; 2] = [
    (
        "mysql:8.0",
        "docker-entrypoint.sh",
        "mysqld",
        // Options alone are passed to the server, as the real entry point does.
        &[
            (
                "docker-entrypoint.sh",
                "case \"$1\" in -*) set -- mysqld \"$@\";; esac\nexec \"$@\"\n",
            ),
            (
                "mysqld",
                "[ -n \"$MYSQL_ROOT_PASSWORD\" ] || { echo 'password option is not specified' >&2; exit 1; }\n\
                 [ -e /var/lib/mysql/index.html ] || echo \"$MYSQL_DATABASE of $(date)\" > /var/lib/mysql/index.html\n\
                 exec serve 3306 /var/lib/mysql\n",
            ),
        ],
    ),
    (
        "wordpress:latest",
        "docker-entrypoint.sh",
        "apache2-foreground",
        &[
            ("apache2-foreground", "exec serve 80 /www\n"),
            ("page", "echo \"WordPress with $(get $WORDPRESS_DB_HOST)\"\n"),
        ],
    ),
];

pub(crate) const PYTHON: [StandIn; 2] = [
    (
        "python:3.12-slim",
        "",
        "python3",
        &[
            ("pip", "[ -s requirements.txt ] && echo installed > /app/installed\n"),
            ("gunicorn", "[ -s app.py ] && [ -s installed ] && exec serve 8000 /www\n"),
            (
                "celery",
                "trap 'exit 0' TERM\n\
                 while :; do echo \"worker sees $(get redis:6379)\"; sleep 1 & wait $!; done\n",
            ),
            ("page", "echo \"$SECRET_KEY and $(get redis:6379)\"\n"),
        ],
    ),
    (
        "redis:7-alpine",
        "docker-entrypoint.sh",
        "redis-server",
        &[
            (
                "redis-server",
                "[ \"$1 $2\" = '--appendonly yes' ] && echo redis > /data/index.html && exec serve 6379 /data\n",
            ),
            ("redis-cli", "[ \"$1\" = ping ] && get 127.0.0.1:6379\n"),
        ],
    ),
];

pub(crate) const MONITORING: [StandIn; 4] = [
    (
        "prom/node-exporter:latest",
        "node_exporter",
        "",
        &[
            (
                "node_exporter",
                "[ -r /host/proc/1/stat ] && [ -d /rootfs/proc ] && exec serve 9100 /www\n",
            ),
            ("page", "echo \"node $(hostname)\"\n"),
        ],
    ),
    (
        "gcr.io/cadvisor/cadvisor:latest",
        "cadvisor",
        "",
        &[
            ("cadvisor", "[ -d /var/run/docker ] && [ -d /rootfs/etc ] && exec serve 8080 /www\n"),
            ("page", "echo containers\n"),
        ],
    ),
    (
        "prom/prometheus:latest",
        "prometheus",
        "",
        &[
            (
                "prometheus",
                "for word in \"$@\"; do case $word in --config.file=*) file=${word#*=};; esac; done\n\
                 grep -q scrape_configs \"$file\" && cp \"$file\" /tmp/config && exec serve 9090 /www\n",
            ),
            (
                "page",
                "for target in $(grep -o '[a-z-]*:[0-9][0-9]*' /tmp/config); do echo \"$target $(get $target)\"; done\n",
            ),
        ],
    ),
    (
        "grafana/grafana:latest",
        "run.sh",
        "",
        &[
            ("run.sh", "exec serve 3000 /www\n"),
            (
                "page",
                "url=$(grep -o 'prometheus:[0-9]*' /etc/grafana/provisioning/datasources/prometheus.yml)\n\
                 echo \"Grafana, $GF_SECURITY_ADMIN_PASSWORD:\"; get $url\n",
            ),
        ],
    ),
];

pub(crate) const QUEUE: [StandIn; 2] = [
    (
        "rabbitmq:3-management",
        "docker-entrypoint.sh",
        "rabbitmq-server",
        &[
            (
                "rabbitmq-server",
                "[ \"$(ulimit -n)\" = 4096 ] && [ \"$(hostname)\" = rabbitmq ] || exit 1\n\
                 echo broker > /var/lib/rabbitmq/index.html\n\
                 httpd -p 15672 -h /var/lib/rabbitmq && exec serve 5672 /var/lib/rabbitmq\n",
            ),
            ("rabbitmq-diagnostics", "[ \"$2\" = ping ] && get 127.0.0.1:5672\n"),
        ],
    ),
    (
        "ghcr.io/acme/queue-demo:1.4.0",
        "",
        "",
        &[(
            "python",
            "trap 'exit 0' TERM\n\
                 host=${AMQP_URL#*@}\n\
                 while :; do echo \"$1 sees $(get ${host%%/*})\"; sleep 1 & wait $!; done\n",
        )],
    ),
];

pub(crate) const OVERRIDE: [StandIn; 3] = [
    (
        "nginx:1.27-alpine",
        "docker-entrypoint.sh",
        "nginx",
        &[
            ("nginx", "exec serve 80 /www\n"),
            (
                "page",
                "to=$(grep -o 'api:[0-9]*' /etc/nginx/conf.d/default.conf)\nget $to || echo \"no $to\"\n",
            ),
        ],
    ),
    (
        "ghcr.io/acme/api:7",
        "",
        "api",
        &[
            ("api", "exec serve 8000 /www\n"),
            (
                "page",
                "host=${DATABASE_URL#*@}\necho \"$(hostname) with $WORKERS workers, debug '$DEBUG', and $(get ${host%%/*})\"\n",
            ),
        ],
    ),
    (
        "postgres:16",
        "docker-entrypoint.sh",
        "postgres",
        &[
            (
                "postgres",
                "[ -s \"$POSTGRES_PASSWORD_FILE\" ] || { echo 'superuser password is not specified' >&2; exit 1; }\n\
                 echo \"a database of $(wc -c < $POSTGRES_PASSWORD_FILE)\" > /var/lib/postgresql/data/index.html\n\
                 exec serve 5432 /var/lib/postgresql/data\n",
            ),
            ("pg_isready", "[ \"$2\" = app ] && get 127.0.0.1:5432\n"),
        ],
    ),
];

/// Makes them and brings them to every node, as `docker save` and `clusterctl image load` do.
pub(crate) fn load(cluster: &Cluster, images: &[StandIn]) -> Step<()> {
    let shell = std::fs::read("/bin/busybox")?;
    for (name, entrypoint, command, scripts) in images {
        let mut image = ImageSource::new(name).file("/bin/sh", &shell, 0o755);
        for (file, text) in COMMON.iter().chain(*scripts) {
            let (path, head) = match *file {
                "page" => (
                    "/www/cgi-bin/index.cgi".to_owned(),
                    "printf 'Content-Type: text/plain\\r\\n\\r\\n'\n",
                ),
                file => (format!("/bin/{file}"), ""),
            };
            image = image.file(&path, format!("#!/bin/sh\n{head}{text}").as_bytes(), 0o755);
        }
        for (field, word) in [("Entrypoint", entrypoint), ("Cmd", command)] {
            if !word.is_empty() {
                image = image.set(field, json!([word]));
            }
        }
        let file = image.write(&cluster.options().root)?.path.display().to_string();
        cluster.say(1, &["image", "load", &file])?;
    }
    Ok(())
}

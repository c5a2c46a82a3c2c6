//! The example app: its files, carried inside this program so that an installed copy has them too, and its
//! image.

use lab::{Dockerfile, ImageFile, Lab};
use std::{fs, path::PathBuf, thread};

const COMPOSE: &str = include_str!("../../../../../cluster-config/demo/docker-compose.yml");
const DOCKERFILE: &str = include_str!("../../../../../cluster-config/demo/web/Dockerfile");

/// Where the example app lies in a lab.
pub(crate) struct App {
    /// Its Compose file.
    pub(crate) compose: PathBuf,
    /// Its image, already on every engine.
    pub(crate) image: ImageFile,
}

/// Writes the example into the lab's folder, builds its image and loads it on every host.
pub(crate) fn unpack(lab: &Lab) -> anyhow::Result<App> {
    let folder = lab.options().root.join("demo");
    let (compose, web) = (folder.join("docker-compose.yml"), folder.join("web"));
    fs::create_dir_all(&web)?;
    fs::write(&compose, COMPOSE)?;
    fs::write(web.join("Dockerfile"), DOCKERFILE)?;
    let image = Dockerfile::build(&web, "demo/web:1")?.write(&folder)?;
    let load = |host| lab.load_image(host, &image);
    thread::scope(|scope| {
        let loads: Vec<_> = lab.numbers().map(|host| scope.spawn(move || load(host))).collect();
        loads.into_iter().try_for_each(|one| one.join().expect("loading an image does not panic"))
    })?;
    Ok(App { compose, image })
}

#[cfg(test)]
mod tests {
    use super::{COMPOSE, DOCKERFILE};
    use lab::{Dockerfile, ImageSource};

    #[test]
    fn the_example_is_complete() {
        let given = |name: &str| ["lab-server", "sh", "start"].contains(&name).then(Vec::new);
        let image = ImageSource::new("demo/web:1");
        Dockerfile::parse(DOCKERFILE).unwrap().apply(image, &given).unwrap();
        assert!(COMPOSE.contains("image: demo/web:1") && COMPOSE.contains("name: demo"));
    }
}

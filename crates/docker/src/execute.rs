//! Doing: one function per action. Errors become results here, with reasons for people.

use crate::body::{body, seconds};
use crate::engine::SHORT;
use crate::failure::within;
use crate::{Engine, Failure};
use agent::{Action, ActionResult, Container, ContainerId, Create};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptionsBuilder, RemoveContainerOptionsBuilder,
    StopContainerOptionsBuilder,
};
use model::TaskId;
use std::time::Duration;

/// Deadline of making or starting a container.
const MAKE: Duration = Duration::from_secs(60);
/// Deadline of removing one: its files may be many.
const REMOVE: Duration = Duration::from_secs(60);
/// How much longer than its grace a stop may take.
const AFTER_GRACE: Duration = Duration::from_secs(10);

impl Engine {
    /// Does what the action says, and tells how it ended. Returns within the action's deadline, whatever
    /// the engine does.
    pub async fn execute(&self, action: &Action) -> ActionResult {
        let done = match action {
            Action::Pull { image, login, .. } => return self.pull(image, login.as_ref()).await,
            Action::Create(create) => return self.create(create).await,
            Action::Start { container, .. } => return self.start(container).await,
            Action::PrepareHook { container, hook, .. } => {
                return self.prepare_hook(container, hook).await;
            }
            Action::RunHook { container, exec, limit, .. } => {
                return self.run_hook(container, exec, *limit).await;
            }
            Action::Inspect { container, .. } => self.inspect(container).await,
            Action::Stop { container, grace, .. } => self.stop(container, *grace).await,
            Action::Kill { container, .. } => self.kill(container).await,
            Action::Remove { container, .. } => self.remove(container).await,
            Action::RemoveVolume { name, .. } => self.remove_volume(name).await.map(|()| None),
            Action::RemoveNetworks { project, .. } => {
                self.remove_networks(project).await.map(|()| None)
            }
        };
        done.map_or_else(Failure::into_result, ActionResult::Done)
    }

    async fn create(&self, create: &Create) -> ActionResult {
        if let Err(result) = self.supply(create).await {
            return result;
        }
        let made = self.make(create).await;
        let found = match made {
            Ok(id) => self.inspect(&ContainerId(id)).await,
            Err(f) if f.not_found() && f.says(&["no such image"]) => return ActionResult::NoImage,
            Err(f) if f.conflict() => return self.already_there(create, f).await,
            Err(failure) => Err(failure),
        };
        found.map_or_else(Failure::into_result, ActionResult::Done)
    }

    async fn make(&self, create: &Create) -> Result<String, Failure> {
        let options = CreateContainerOptionsBuilder::default().name(&create.name).build();
        let client = self.client().await?;
        Ok(within(MAKE, client.create_container(Some(options), body(create))).await?.id)
    }

    /// The name is taken: by the task's own container, when an earlier attempt got further than it
    /// seemed.
    async fn already_there(&self, create: &Create, failure: Failure) -> ActionResult {
        match self.inspect(&ContainerId(create.name.clone())).await {
            Ok(Some(found)) if found.task == create.task => ActionResult::Done(Some(found)),
            Ok(_) => taken_by_another(create.task, failure),
            Err(failure) => failure.into_result(),
        }
    }

    async fn start(&self, container: &ContainerId) -> ActionResult {
        let client = match self.client().await {
            Ok(client) => client,
            Err(failure) => return failure.into_result(),
        };
        match within(MAKE, client.start_container(&container.0, None)).await {
            Ok(()) => {}
            Err(f) if f.not_found() && f.says(&["no such container"]) => {
                return ActionResult::Done(None);
            }
            Err(f) if f.says(&HOPELESS) => return ActionResult::Never(f.to_string()),
            Err(failure) => return failure.into_result(),
        }
        self.inspect(container).await.map_or_else(Failure::into_result, ActionResult::Done)
    }

    async fn stop(
        &self,
        container: &ContainerId,
        grace: Duration,
    ) -> Result<Option<Container>, Failure> {
        let t = i32::try_from(seconds(grace)).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(t).build();
        let client = self.client().await?;
        let stopped = client.stop_container(&container.0, Some(options));
        gone_is_fine(within(grace + AFTER_GRACE, stopped).await)?;
        self.inspect(container).await
    }

    async fn kill(&self, container: &ContainerId) -> Result<Option<Container>, Failure> {
        let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
        let client = self.client().await?;
        match within(SHORT, client.kill_container(&container.0, Some(options))).await {
            // It does not run any more.
            Err(failure) if failure.conflict() => {}
            other => gone_is_fine(other)?,
        }
        self.inspect(container).await
    }

    async fn remove(&self, container: &ContainerId) -> Result<Option<Container>, Failure> {
        let options = RemoveContainerOptionsBuilder::default().v(true).build();
        let client = self.client().await?;
        gone_is_fine(within(REMOVE, client.remove_container(&container.0, Some(options))).await)?;
        Ok(None)
    }
}

/// Words of the engine on a start after which trying again on this node is in vain.
const HOPELESS: [&str; 7] = [
    "oci runtime create failed",
    "failed to create task",
    "port is already allocated",
    "address already in use",
    "executable file not found",
    "no such file or directory",
    "bind source path does not exist",
];

fn taken_by_another(task: TaskId, failure: Failure) -> ActionResult {
    match failure.into_result() {
        ActionResult::Again(why) | ActionResult::Never(why) => {
            ActionResult::Again(format!("task {task} has no container, and yet: {why}"))
        }
        other => other,
    }
}

fn gone_is_fine(answer: Result<(), Failure>) -> Result<(), Failure> {
    match answer {
        Err(failure) if failure.not_found() => Ok(()),
        other => other,
    }
}

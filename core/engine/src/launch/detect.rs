//! From what a person says to what is run.

use std::time::Duration;

use super::probe::Deadline;
use super::{AgentSpec, Kind, LaunchError, Plan, node, python};

impl Plan {
    /// Finds the agent's file, its project, the interpreter and the SDK, and checks that they fit together. Questions
    /// to the interpreter, the first of which syncs a uv project unless the spec says not to, end after `within`.
    ///
    /// Dropping the future ends what it started. It needs a tokio runtime with time enabled.
    ///
    /// # Errors
    /// Whatever would keep the agent from starting, as far as it can be known before.
    pub async fn detect(spec: &AgentSpec, within: Duration) -> Result<Self, LaunchError> {
        let project = node::find_project(spec)?;
        if project.kind == Kind::Node && spec.stand_in.is_some() {
            return Err(LaunchError::StandInUnsupported { file: project.file });
        }
        let deadline = Deadline::after(within);
        let runtime = match project.kind {
            Kind::Python => python::find(spec, &project, deadline).await?,
            Kind::Node => node::find(spec, &project, deadline).await?,
        };
        Ok(Self {
            kind: project.kind,
            entry: project.entry(),
            project_dir: project.root,
            program: runtime.program,
            program_args: runtime.args,
            origin: runtime.origin,
            interpreter_version: runtime.version,
            runner: runtime.runner,
            has_loader: runtime.has_loader,
            can_preload: runtime.can_preload,
            sdk_version: runtime.sdk_version,
            args: spec.args.clone(),
            env: spec.env.iter().cloned().chain(runtime.env).collect(),
            record: spec.record,
            stand_in: spec.stand_in.clone(),
        })
    }
}

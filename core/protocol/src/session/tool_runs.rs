//! The runs of tools: the order in which they began, and how they ended. Agents in Python tell of both.

use std::collections::VecDeque;

use crate::message::{EventKind, Item, ToolCall, ToolCallStatus, ToolUpdate};

/// How many runs are remembered.
const RUNS: usize = 256;

/// The latest runs, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct ToolRuns(VecDeque<ToolRun>);

#[derive(Debug)]
struct ToolRun {
    call: ToolCall,
    /// How the run ended, and what it told of that.
    ended: Option<(ToolCallStatus, Option<String>)>,
    /// Whether an event or a response told of the call.
    is_told: bool,
}

impl ToolRuns {
    /// Takes account of the events of one message: puts calls into the order in which they began, and
    /// lets a call and the update of its run agree on whether it failed.
    pub(super) fn take(&mut self, events: &mut [EventKind]) {
        for event in &mut *events {
            match event {
                EventKind::ToolUpdate(ToolUpdate::Started { call }) => self.begin(call.clone()),
                EventKind::ToolUpdate(ToolUpdate::Ended { call_id, message, status, .. }) => {
                    if let Some(run) = self.0.iter_mut().rfind(|run| run.call.call_id == *call_id) {
                        run.ended = Some((*status, message.clone()));
                    }
                }
                EventKind::ToolCall(call) => self.correct(call),
                _ => {}
            }
        }
        if events.len() > 1 && events.iter().all(|event| matches!(event, EventKind::ToolCall(_))) {
            // Calls whose beginning is not known stay behind the others.
            events.sort_by_key(|event| match event {
                EventKind::ToolCall(call) => self.place(call).unwrap_or(usize::MAX),
                _ => usize::MAX,
            });
        }
    }

    /// The same for the items of a response.
    pub(super) fn take_items(&mut self, items: &mut [Item]) {
        for item in items {
            if let Item::ToolCall(call) = item {
                self.correct(call);
            }
        }
    }

    /// Takes the calls that began, and of which neither an event nor a response told.
    pub(super) fn take_untold(&mut self) -> Vec<ToolCall> {
        let untold = self.0.iter_mut().filter(|run| !run.is_told).map(|run| {
            run.is_told = true;
            let mut call = run.call.clone();
            if let Some((status, message)) = &run.ended {
                call.output.clone_from(message);
                call.is_error = *status == ToolCallStatus::Error;
            }
            call
        });
        untold.collect()
    }

    /// A new turn begins: calls of the turns before it are not of it.
    pub(super) fn forget_untold(&mut self) {
        self.0.iter_mut().for_each(|run| run.is_told = true);
    }

    fn begin(&mut self, call: ToolCall) {
        if self.0.len() == RUNS {
            self.0.pop_front();
        }
        self.0.push_back(ToolRun { call, ended: None, is_told: false });
    }

    /// Live events carry no item id, only the call id, which scripted LLMs repeat.
    fn place(&self, call: &ToolCall) -> Option<usize> {
        self.0.iter().rposition(|run| {
            if call.id.is_empty() { run.call.call_id == call.call_id } else { run.call.id == call.id }
        })
    }

    fn correct(&mut self, call: &mut ToolCall) {
        let Some(run) = self.place(call).and_then(|at| self.0.get_mut(at)) else { return };
        run.is_told = true;
        if let Some((ToolCallStatus::Error, message)) = &run.ended {
            call.is_error = true;
            if call.output.as_deref().is_none_or(str::is_empty) {
                call.output.clone_from(message);
            } else if call.output != *message {
                call.error.clone_from(message);
            }
        }
    }
}

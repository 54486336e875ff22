//! A conversation with an agent file: `cargo run --example conversation -- examples/python/agent.py`.

use greenroom::{AgentSpec, Session, StartOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut agent = AgentSpec::new(std::env::current_dir()?);
    agent.entry = std::env::args_os().nth(1).map(Into::into);

    let session = Session::start(StartOptions::new(agent))?;
    session.ready(None).await?;
    for text in ["hi", "weather", "boom", "handoff", "silent"] {
        let turn = session.say(text, None).await?;
        let reply = if turn.silent { "(no reply)" } else { &turn.reply };
        println!("you: {text}\nagent: {reply}");
    }
    println!("{} items of history", session.history(None).await?.len());
    session.end().await;
    Ok(())
}

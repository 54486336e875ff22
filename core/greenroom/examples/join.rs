//! A conversation with the agent of a room: `LIVEKIT_URL=… LIVEKIT_TOKEN=… cargo run --example join`. The token has to grant
//! `canManageAgentSession`.

use greenroom::{JoinOptions, Session};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (url, token) = (std::env::var("LIVEKIT_URL")?, std::env::var("LIVEKIT_TOKEN")?);
    let session = Session::join(JoinOptions::new(url, token))?;
    session.ready(None).await?;
    for text in std::env::args().skip(1) {
        let turn = session.say(&text, None).await?;
        println!("you: {text}\nagent: {}", turn.reply);
    }
    println!("{} items of history", session.history(None).await?.len());
    session.end().await;
    Ok(())
}

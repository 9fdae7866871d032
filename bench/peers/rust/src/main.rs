//! tokio-tungstenite as its echo example does it, on one thread because it is given one core. The first argument is its role.

use futures_util::{future::ready, StreamExt, TryStreamExt};
use std::io::{BufRead, Write};
use tokio::net::TcpListener;
use tokio_tungstenite::accept_async;

fn version() -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let mut lines = lock.lines().skip_while(|line| *line != "name = \"tokio-tungstenite\"");
    lines.nth(1).and_then(|line| line.split('"').nth(1)).unwrap_or("?")
}

fn say(line: &str) {
    println!("{line}");
    std::io::stdout().flush().unwrap();
}

async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    say(&format!("{{\"port\":{port},\"version\":\"tokio-tungstenite {}\"}}", version()));
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let Ok(socket) = accept_async(stream).await else { return };
            let (write, read) = socket.split();
            let _ = read.try_filter(|message| ready(message.is_text() || message.is_binary())).forward(write).await;
        });
    }
}

fn main() {
    let role = std::env::args().nth(1).unwrap_or_else(|| "echo".into());
    if role != "echo" && role != "idle" {
        say(&format!("{{\"lacks\":\"{role}\"}}"));
        return;
    }
    // "memory" on stdin is answered, and its end is ours.
    std::thread::spawn(|| {
        for _ in std::io::stdin().lock().lines() {
            say("{\"live\":null}");
        }
        std::process::exit(0);
    });
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(serve());
}

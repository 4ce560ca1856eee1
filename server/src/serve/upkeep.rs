//! What a ledger needs from time to time: that what time has ended is recorded, so that subscribers hear of it.

use std::time::Duration;

use consentry::Engine;

use crate::clock;

/// Looks after `engine` for as long as the server runs.
pub(crate) async fn look_after(engine: Engine, every: Duration) {
    if every.is_zero() {
        return;
    }
    loop {
        tokio::time::sleep(every).await;
        let engine = engine.clone();
        match tokio::task::spawn_blocking(move || engine.sweep(clock::now())).await {
            Ok(Ok(0)) => {}
            Ok(Ok(count)) => tracing::debug!(count, "time has ended things"),
            Ok(Err(error)) => {
                tracing::error!(code = error.code(), "what time has ended could not be recorded: {error}");
            }
            Err(_) => tracing::error!("what time has ended could not be recorded"),
        }
    }
}

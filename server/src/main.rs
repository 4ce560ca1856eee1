//! x
fn main() {
    let engine = consentry::Engine::open(consentry::MemoryLedger::new()).unwrap();
    let file = std::env::args().nth(1).unwrap();
    let file = std::io::BufReader::new(std::fs::File::open(file).unwrap());
    if let Err(e) = consentry_server::script::run(&engine, file, std::io::stdout()) {
        eprintln!("{e}");
        std::process::exit(2);
    }
}

fn main() {
    bustard::build::embed("migrations")
}

//! Compiles the protocol between the members of the log without a system `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = protox::compile(["cluster/v1/raft.proto"], ["../../proto"])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=../../proto/cluster/v1/raft.proto");
    Ok(())
}

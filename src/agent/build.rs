//! Compiles the programs of the gate and of the guard (gate/*.bpf.c) for the kernel's virtual
//! machine.
//!
//! Owns: finding clang and the kernel's user headers. Never does: fetch anything. On failure the
//! build stops with the name of the package that is missing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const GATE: &str = "gate/gate.bpf.c";
const GUARD: &str = "gate/guard.bpf.c";
const HEADERS: [&str; 2] = ["gate/gate.bpf.h", "gate/question.bpf.h"];

/// Compiles both programs into OUT_DIR, and passes the names of their parts on to the crate.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for path in [GATE, GUARD].iter().chain(&HEADERS) {
        println!("cargo:rerun-if-changed={path}");
    }
    println!("cargo:rerun-if-env-changed=CLANG");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    let sources = [
        (GATE, "gate.bpf.o", &[("GATE_INGRESS", "vip_in"), ("GATE_EGRESS", "vip_eg")][..]),
        (GUARD, "guard.bpf.o", &[("GUARD_EGRESS", "vipg")]),
    ];
    for (source, object, parts) in sources {
        let tag = program_tag(source);
        let names: Vec<(&str, String)> = parts.iter().map(|part| (part.0, format!("{}_{tag}", part.1))).collect();
        for (macro_name, name) in &names {
            println!("cargo:rustc-env=VIPAIR_{macro_name}={name}");
        }
        if let Err(message) = compile(source, &out.join(object), &names) {
            eprintln!("error: {message}");
            std::process::exit(1);
        }
    }
}

/// Tag of eight hex digits that changes with the program: part of the program's name in the kernel,
/// so that an agent knows whether a gate that it finds is the one that it was built with. FNV-1a.
fn program_tag(source: &str) -> String {
    let files = std::iter::once(&source).chain(&HEADERS);
    let source: Vec<u8> = files.flat_map(|path| fs::read(path).unwrap_or_default()).collect();
    let hash = source.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}

/// Compiles a program into the file `object`; `names` are those of its parts, with their macros.
///
/// # Errors
/// A sentence for whoever builds: what failed, and which package is missing.
fn compile(source: &str, object: &Path, names: &[(&str, String)]) -> Result<(), String> {
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let endian = match env::var("CARGO_CFG_TARGET_ENDIAN").as_deref() {
        Ok("big") => "bpfeb",
        _ => "bpfel",
    };
    let mut command = Command::new(&clang);
    command
        .args(["-O2", "-g", "-Wall", "-Wextra", "-Werror", "-target", endian, "-c", source, "-o"])
        .arg(object)
        .args(names.iter().map(|(macro_name, name)| format!("-D{macro_name}={name}")))
        // The object must not carry the path it was built in.
        .args(["-fdebug-compilation-dir", "."]);
    if let Some(include) = asm_headers() {
        command.arg("-I").arg(include);
    }
    let result = command.output().map_err(|error| {
        format!(
            "cannot run {clang} ({error}): the gate needs clang with the bpf target. On Debian and Ubuntu: \
             apt-get install clang linux-libc-dev; or set CLANG to its path"
        )
    })?;
    if result.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&result.stderr);
    let hint = if text.contains("file not found") { "\nkernel headers: apt-get install linux-libc-dev" } else { "" };
    Err(format!("{clang} could not compile {source}:\n{text}{hint}"))
}

/// Directory of <asm/types.h> on Debian, which is named after the machine and where the bpf target
/// does not look; `None` if there is none.
fn asm_headers() -> Option<PathBuf> {
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let triple = match arch.as_str() {
        "x86" => "i386-linux-gnu".to_owned(),
        "arm" => "arm-linux-gnueabihf".to_owned(),
        "powerpc64" => "powerpc64le-linux-gnu".to_owned(),
        other => format!("{other}-linux-gnu"),
    };
    Some(PathBuf::from("/usr/include").join(triple)).filter(|path| path.is_dir())
}

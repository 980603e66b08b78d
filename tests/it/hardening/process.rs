//! Child processes: the built programs, waited for by what they show, and never left behind.

use std::ffi::OsStr;
use std::io::{Read, Write as _};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use doorward::runtime::{Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};

pub const AUTHORITY: &str = env!("CARGO_BIN_EXE_doorward-authority");
pub const SIDECAR: &str = env!("CARGO_BIN_EXE_doorward-sidecar");
pub const CLI: &str = env!("CARGO_BIN_EXE_doorward");

/// Only ends a hung test: waiting is for what will happen.
const HUNG: Duration = Duration::from_secs(90);

/// A program that runs until it is told to stop, or until the test ends.
pub struct Process {
    child: Child,
    log: PathBuf,
}

/// A command whose environment is nobody's.
fn command(program: &str, args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .current_dir("/");
    command
}

/// Runs a program to its end. One that does not end is killed, and that is told.
pub fn run(program: &str, args: &[&str], env: &[(&str, &str)]) -> Finished {
    let mut child = command(program, args, env)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&child);
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (status, stdout, stderr) = std::thread::scope(|scope| {
        let out = scope.spawn(move || read_all(&mut out));
        let err = scope.spawn(move || read_all(&mut err));
        let begin = SystemClock.since_boot();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if SystemClock.since_boot().saturating_sub(begin) > HUNG {
                let _ = kill_process(pid, Signal::KILL);
            }
            pause();
        };
        (status, out.join().unwrap(), err.join().unwrap())
    });
    Finished(Output {
        status,
        stdout,
        stderr,
    })
}

fn read_all(from: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = from.read_to_end(&mut bytes);
    bytes
}

/// What a program that ended left.
#[derive(Debug)]
pub struct Finished(Output);

impl Finished {
    pub fn code(&self) -> i32 {
        self.0
            .status
            .code()
            .unwrap_or_else(|| panic!("it did not end by itself: {}", self.err()))
    }

    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// It must have ended with this code, saying all of this on standard error, and no panic.
    pub fn refused(&self, code: i32, said: &[&str]) {
        let err = self.err();
        assert_eq!(self.code(), code, "{err}");
        for text in said {
            assert!(err.contains(text), "`{text}` is missing in: {err}");
        }
        assert!(!err.contains("panicked"), "{err}");
    }

    /// It must have succeeded; gives what it printed.
    pub fn succeeded(&self) -> String {
        assert_eq!(self.code(), 0, "{}", self.err());
        self.out()
    }
}

impl Process {
    /// Starts a program with its log in `log`, added to what is there.
    pub fn start(program: &str, args: &[&str], log: &Path) -> Self {
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        let child = command(program, args, &[])
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        Self {
            child,
            log: log.to_owned(),
        }
    }

    /// Starts a program as systemd does: with a listening socket, and a socket to tell how it goes.
    pub fn activated(
        program: &str,
        args: &[&str],
        log: &Path,
        (socket, notify): (TcpListener, &Path),
    ) -> Self {
        // The shell becomes the program, so its number is the program's; passed sockets begin at 3.
        let script = "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\" 3<&0 0</dev/null";
        let mut all = vec!["-c", script, program];
        all.extend(args);
        let env = [("NOTIFY_SOCKET", notify.to_str().unwrap())];
        let child = command("/bin/sh", &all, &env)
            .stdin(OwnedFd::from(socket))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(log).unwrap())
            .spawn()
            .unwrap();
        Self {
            child,
            log: log.to_owned(),
        }
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    /// Waits for a line with `text` after the first `from` bytes of the log, and gives it.
    pub fn line(&mut self, from: usize, text: &str) -> String {
        until(&format!("`{text}` in the log"), || {
            let log = self.log();
            let found = log[from..].lines().find(|line| line.contains(text));
            if let (None, Some(status)) = (found, self.child.try_wait().unwrap()) {
                panic!("it ended with {status} before `{text}`: {log}");
            }
            found.map(str::to_owned)
        })
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Its number, for whoever is to kill it.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Sends SIGKILL.
    pub fn signal_kill(&self) {
        kill_process(Pid::from_child(&self.child), Signal::KILL).unwrap();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        until("the end of a process", || self.child.try_wait().unwrap())
    }

    /// Sends SIGTERM and waits; it must end well and have panicked nowhere.
    pub fn stop(mut self) {
        self.terminate();
        let status = self.wait();
        let log = self.log();
        assert!(status.success(), "{status}: {log}");
        assert!(!log.contains("panicked"), "{log}");
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let tail = log.len().saturating_sub(4_000);
            say(&format!(
                "--- the end of {}:\n{}",
                self.log.display(),
                log.get(tail..).unwrap_or(&log)
            ));
        }
    }
}

/// Looks again and again until there is something.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = SystemClock.since_boot();
    loop {
        if let Some(found) = look() {
            return found;
        }
        let waited = SystemClock.since_boot().saturating_sub(begin);
        assert!(waited < HUNG, "waited for {what} in vain");
        pause();
    }
}

/// Another process cannot be awaited otherwise than by looking.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing tells when another process has done its work"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

/// Past the harness, which would keep it to itself.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A small file system of its own, where mounting is permitted.
pub struct Disk {
    directory: tempfile::TempDir,
}

impl Disk {
    /// Mounts one of that many KiB; `None`, said aloud, where this process may not.
    pub fn mount(kib: u32) -> Option<Self> {
        let directory = crate::support::directory();
        let size = format!("size={kib}k,mode=700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "doorward-test"])
            .arg(directory.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { directory }),
            refused => {
                say(&format!(
                    "SKIPPED: this process may not mount a file system: {refused:?}"
                ));
                None
            }
        }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// From now on nothing can be written.
    pub fn make_read_only(&self) {
        let status = Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(self.path())
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        std::fs::File::create(self.ballast()).unwrap();
        self.fill_more();
    }

    /// Takes what room there is again.
    pub fn fill_more(&self) {
        let mut file = std::fs::File::options()
            .append(true)
            .open(self.ballast())
            .unwrap();
        for size in [64 * 1024, 4096, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    /// Gives it back.
    pub fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A process that still has files open there does not keep the mount.
        let _ = Command::new("umount")
            .args([OsStr::new("-l"), self.path().as_os_str()])
            .status();
    }
}

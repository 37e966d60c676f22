// SPDX-License-Identifier: MIT OR GPL-2.0

//! Forked children, and the lines of text that they exchange with the parent.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pipe::{pipe_with, PipeFlags};
use rustix::process::{
    kill_process, waitid, waitpid, Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus,
};

use crate::{fail, Answer, Failure};

/// One end of a socket between a parent and its child. Both send lines of text.
#[derive(Debug)]
pub struct Link {
    from: BufReader<File>,
    to: File,
}

impl Link {
    /// Makes two connected ends.
    fn pair() -> Result<(Self, Self), Failure> {
        let (up_from, up_to) = pipe_with(PipeFlags::CLOEXEC)?;
        let (down_from, down_to) = pipe_with(PipeFlags::CLOEXEC)?;
        let end = |from: std::os::fd::OwnedFd, to: std::os::fd::OwnedFd| Self {
            from: BufReader::new(from.into()),
            to: to.into(),
        };
        Ok((end(up_from, down_to), end(down_from, up_to)))
    }

    /// Sends a line.
    ///
    /// # Errors
    ///
    /// The other side is gone.
    pub fn say(&mut self, line: &str) -> Result<(), Failure> {
        Ok(self.to.write_all(format!("{line}\n").as_bytes())?)
    }

    /// Waits for a line.
    ///
    /// # Errors
    ///
    /// The other side is gone.
    pub fn hear(&mut self) -> Answer {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            fail!("the other process has ended");
        }
        Ok(line.trim_end().into())
    }
}

/// A forked child. It is killed when this is dropped before [`finish`](Self::finish) or
/// [`wait`](Self::wait).
#[derive(Debug)]
pub struct Child {
    /// The parent's end.
    pub link: Link,
    pid: Option<Pid>,
}

impl Child {
    /// Forks a child. The child runs `body`, sends the answer and exits.
    ///
    /// # Errors
    ///
    /// `fork(2)` fails.
    pub fn fork(body: impl FnOnce(&mut Link) -> Answer) -> Result<Self, Failure> {
        let (ours, mut theirs) = Link::pair()?;
        // SAFETY: The child runs on a copy of this thread alone. It takes no lock that another
        // thread may have held, allocation aside, which the C library puts in order, and it leaves
        // with `_exit`.
        let pid = unsafe { libc::fork() };
        if pid != 0 {
            drop(theirs);
            if pid < 0 {
                return Err(std::io::Error::last_os_error().into());
            }
            return Ok(Self {
                link: ours,
                pid: Pid::from_raw(pid),
            });
        }
        drop(ours);
        // SAFETY: A plain request: die when the parent does.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let answer = catch_unwind(AssertUnwindSafe(|| body(&mut theirs)))
            .unwrap_or_else(|_| Err("the child panicked".into()));
        let (line, status) = match answer {
            Ok(answer) => (answer, 0),
            Err(failure) => (format!("in the child: {failure}"), 1),
        };
        let _ = theirs.say(&line);
        // SAFETY: Ends the process without running what belongs to the parent.
        unsafe { libc::_exit(status) }
    }

    /// Waits for the child's answer and for its end.
    ///
    /// # Errors
    ///
    /// The child failed, or it ended without an answer.
    pub fn finish(mut self) -> Answer {
        let answer = self.link.hear();
        let status = self.reap()?;
        let answer = answer?;
        match status.exit_status() {
            Some(0) => Ok(answer),
            Some(_) => Err(answer.into()),
            None => fail!("the child ended with {status:?}"),
        }
    }

    /// Waits for the child's end, also if a signal ends it.
    ///
    /// # Errors
    ///
    /// `waitpid(2)` fails.
    pub fn wait(mut self) -> Result<WaitStatus, Failure> {
        self.reap()
    }

    /// Waits for the end of the child, at most `limit`. Returns whether the child has ended.
    ///
    /// # Errors
    ///
    /// `waitpid(2)` fails.
    pub fn has_ended_within(&self, limit: Duration) -> Result<bool, Failure> {
        let Some(pid) = self.pid else {
            return Ok(true);
        };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let began = Instant::now();
        while waitid(WaitId::Pid(pid), options)?.is_none() {
            if began.elapsed() >= limit {
                return Ok(false);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(true)
    }

    /// The state of the child's first thread, as in `proc_pid_stat(5)`: `R` is running, `S` sleeps
    /// and any signal wakes it, `D` sleeps uninterruptibly.
    ///
    /// # Errors
    ///
    /// The child has ended.
    pub fn state(&self) -> Result<char, Failure> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.raw_pid()?))?;
        let state = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.chars().next());
        state.ok_or_else(|| "a process without a state".into())
    }

    /// The child's process ID.
    ///
    /// # Errors
    ///
    /// The child has ended.
    pub fn raw_pid(&self) -> Result<i32, Failure> {
        match self.pid {
            Some(pid) => Ok(pid.as_raw_nonzero().get()),
            None => fail!("the child has ended"),
        }
    }

    /// Sends SIGKILL.
    ///
    /// # Errors
    ///
    /// The child has ended.
    pub fn kill(&self) -> Result<(), Failure> {
        let Some(pid) = self.pid else {
            fail!("the child has ended")
        };
        Ok(kill_process(pid, Signal::KILL)?)
    }

    fn reap(&mut self) -> Result<WaitStatus, Failure> {
        let Some(pid) = self.pid.take() else {
            fail!("the child has ended")
        };
        match waitpid(Some(pid), WaitOptions::empty())? {
            Some((_, status)) => Ok(status),
            None => fail!("waitpid returned without a child"),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.pid.is_some() {
            let _ = self.kill();
            let _ = self.reap();
        }
    }
}

/// Runs `body` in a forked child and returns its answer.
///
/// # Errors
///
/// As [`Child::finish`].
pub fn in_child(body: impl FnOnce() -> Answer) -> Answer {
    Child::fork(|_| body())?.finish()
}

// SPDX-License-Identifier: MIT OR GPL-2.0

//! Memory that a program has to ask a driver for, by calls of its own, before it can be mapped.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use rustix::fs::{fcntl_add_seals, ftruncate, memfd_create, MemfdFlags, SealFlags};
use rustix::ioctl::{opcode, Opcode};

use crate::observe::checked;
use crate::scenarios::uring;
use crate::subject::{page_size, size};
use crate::Failure;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// The pages of a memfd through the driver udmabuf.
    Udmabuf,
    /// A dumb buffer of a graphics driver, exported as a dma-buf.
    Drm,
    /// The first buffer of a video device.
    Video,
    /// The buffer of a sound card's playback.
    Pcm,
    /// The ring of received packets of a socket.
    Packet,
    /// The rings of `io_uring`.
    IoUring,
    /// The ring of a performance counter.
    Perf,
}

impl Made {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Udmabuf,
        Self::Drm,
        Self::Video,
        Self::Pcm,
        Self::Packet,
        Self::IoUring,
        Self::Perf,
    ];

    /// Its name on a command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Udmabuf => "udmabuf",
            Self::Drm => "drm",
            Self::Video => "video",
            Self::Pcm => "pcm",
            Self::Packet => "packet",
            Self::IoUring => "io_uring",
            Self::Perf => "perf",
        }
    }

    /// Its size in bytes, if it can only be mapped as a whole. Then the size cannot be found out by mapping parts.
    #[must_use]
    pub fn size_bytes(self) -> Option<u64> {
        match self {
            Self::Packet => Some(size() as u64),
            Self::Perf => Some((1 + NR_PERF_PAGES) * page_size() as u64),
            _ => None,
        }
    }

    /// Asks for [`size`] bytes or more, or as many as the object can have, to be mapped at offset 0.
    ///
    /// # Errors
    ///
    /// The errno of a call.
    pub fn make(self) -> Result<OwnedFd, Failure> {
        match self {
            Self::Udmabuf => udmabuf(),
            Self::Drm => drm(),
            Self::Video => video(),
            Self::Pcm => pcm(),
            Self::Packet => packet(),
            Self::IoUring => io_uring(),
            Self::Perf => perf(),
        }
    }
}

/// Calls an ioctl whose argument has no pointers.
fn ioctl<T>(fd: &impl AsRawFd, number: Opcode, argument: &mut T) -> Result<u64, Failure> {
    // SAFETY: The number says how large the argument is.
    let ret = unsafe { libc::ioctl(fd.as_raw_fd(), number.into(), &raw mut *argument) };
    Ok(checked(ret)?)
}

fn owned(fd: u64) -> Result<OwnedFd, Failure> {
    // SAFETY: The caller got a new descriptor from the kernel.
    Ok(unsafe { OwnedFd::from_raw_fd(fd.try_into()?) })
}

fn opened(path: &str) -> Result<File, Failure> {
    Ok(File::options().read(true).write(true).open(path)?)
}

/// `struct udmabuf_create`.
#[repr(C)]
struct UdmabufCreate {
    memfd: u32,
    flags: u32,
    offset: u64,
    size: u64,
}

fn udmabuf() -> Result<OwnedFd, Failure> {
    let driver = opened("/dev/udmabuf")?;
    let memfd = memfd_create("udmabuf", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&memfd, size() as u64)?;
    fcntl_add_seals(&memfd, SealFlags::SHRINK)?;
    let mut create = UdmabufCreate {
        memfd: memfd.as_raw_fd().try_into()?,
        flags: 1,
        offset: 0,
        size: size() as u64,
    };
    owned(ioctl(
        &driver,
        opcode::write::<UdmabufCreate>(b'u', 0x42),
        &mut create,
    )?)
}

/// `struct drm_mode_create_dumb`.
#[repr(C)]
struct DrmCreateDumb {
    height: u32,
    width: u32,
    bpp: u32,
    flags: u32,
    handle: u32,
    pitch: u32,
    size: u64,
}

/// `struct drm_prime_handle`.
#[repr(C)]
struct DrmPrimeHandle {
    handle: u32,
    flags: u32,
    fd: i32,
}

fn drm() -> Result<OwnedFd, Failure> {
    let driver = opened("/dev/dri/card0")?;
    let mut dumb = DrmCreateDumb {
        height: 512,
        width: 512,
        bpp: 32,
        flags: 0,
        handle: 0,
        pitch: 0,
        size: 0,
    };
    ioctl(
        &driver,
        opcode::read_write::<DrmCreateDumb>(b'd', 0xb2),
        &mut dumb,
    )?;
    let mut prime = DrmPrimeHandle {
        handle: dumb.handle,
        flags: (libc::O_RDWR | libc::O_CLOEXEC).try_into()?,
        fd: -1,
    };
    ioctl(
        &driver,
        opcode::read_write::<DrmPrimeHandle>(b'd', 0x2d),
        &mut prime,
    )?;
    owned(prime.fd.try_into()?)
}

/// `struct v4l2_requestbuffers`.
#[repr(C)]
struct VideoBuffers {
    count: u32,
    kind: u32,
    memory: u32,
    capabilities: u32,
    reserved: u32,
}

fn video() -> Result<OwnedFd, Failure> {
    const CAPTURE: u32 = 1;
    const MMAP: u32 = 1;
    let driver = opened("/dev/video0")?;
    let mut buffers = VideoBuffers {
        count: 1,
        kind: CAPTURE,
        memory: MMAP,
        capabilities: 0,
        reserved: 0,
    };
    ioctl(
        &driver,
        opcode::read_write::<VideoBuffers>(b'V', 8),
        &mut buffers,
    )?;
    Ok(driver.into())
}

/// `struct snd_interval`.
#[repr(C)]
#[derive(Clone, Copy)]
struct PcmInterval {
    min: u32,
    max: u32,
    flags: u32,
}

/// `struct snd_pcm_hw_params`.
#[repr(C)]
struct PcmParameters {
    flags: u32,
    masks: [[u32; 8]; 3],
    more_masks: [[u32; 8]; 5],
    intervals: [PcmInterval; 12],
    more_intervals: [PcmInterval; 9],
    requested: u32,
    changed: u32,
    info: u32,
    bits: u32,
    rate: [u32; 2],
    fifo_size: usize,
    reserved: [u8; 64],
}

/// Chooses the parameters of a sound card's playback. That allocates its buffer.
fn pcm() -> Result<OwnedFd, Failure> {
    const ACCESS: usize = 0;
    const FORMAT: usize = 1;
    const CHANNELS: usize = 2;
    const BUFFER_BYTES: usize = 10;
    const MMAP_INTERLEAVED: u32 = 1;
    const S16_LE: u32 = 1 << 2;
    let driver = opened("/dev/snd/pcmC0D0p")?;
    let interval = |min, max| PcmInterval { min, max, flags: 0 };
    let mut masks = [[u32::MAX; 8]; 3];
    masks[ACCESS] = [MMAP_INTERLEAVED, 0, 0, 0, 0, 0, 0, 0];
    masks[FORMAT] = [S16_LE, 0, 0, 0, 0, 0, 0, 0];
    let mut intervals = [interval(0, u32::MAX); 12];
    let len = size().try_into()?;
    intervals[CHANNELS] = interval(2, 2);
    intervals[BUFFER_BYTES] = interval(len, len);
    let mut parameters = PcmParameters {
        flags: 0,
        masks,
        more_masks: [[0; 8]; 5],
        intervals,
        more_intervals: [interval(0, 0); 9],
        requested: u32::MAX,
        changed: 0,
        info: 0,
        bits: 0,
        rate: [0; 2],
        fifo_size: 0,
        reserved: [0; 64],
    };
    ioctl(
        &driver,
        opcode::read_write::<PcmParameters>(b'A', 0x11),
        &mut parameters,
    )?;
    Ok(driver.into())
}

/// `struct tpacket_req`.
#[repr(C)]
struct PacketRing {
    block_size: u32,
    nr_blocks: u32,
    frame_size: u32,
    nr_frames: u32,
}

fn packet() -> Result<OwnedFd, Failure> {
    const BLOCK: usize = 1 << 16;
    const FRAME: usize = 2048;
    // SAFETY: A plain request.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    let socket = owned(checked(socket)?)?;
    let ring = PacketRing {
        block_size: BLOCK.try_into()?,
        nr_blocks: (size() / BLOCK).try_into()?,
        frame_size: FRAME.try_into()?,
        nr_frames: (size() / FRAME).try_into()?,
    };
    // SAFETY: The length is that of the argument.
    let ret = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_RX_RING,
            (&raw const ring).cast(),
            size_of::<PacketRing>().try_into()?,
        )
    };
    checked(ret)?;
    Ok(socket)
}

fn io_uring() -> Result<OwnedFd, Failure> {
    /// With so many, the rings are larger than [`size`].
    const NR_ENTRIES: u32 = 1 << 15;
    let (fd, _) = uring::set_up(NR_ENTRIES)?;
    Ok(fd)
}

/// Pages of the ring. Their number is a power of two, and one more page tells where the ring is.
const NR_PERF_PAGES: u64 = 128;

fn perf() -> Result<OwnedFd, Failure> {
    const SOFTWARE: u32 = 1;
    const DUMMY: u64 = 9;
    const LEN: u32 = 64;
    let mut attributes = [0_u64; LEN as usize / 8];
    attributes[0] = u64::from(SOFTWARE) | (u64::from(LEN) << 32);
    attributes[1] = DUMMY;
    // SAFETY: The kernel reads `attributes`, a `struct perf_event_attr` of the first version.
    let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, attributes.as_ptr(), 0, -1, -1, 0) };
    owned(checked(fd)?)
}

//! Frames over a Unix socket, with file descriptors. One task reads and writes. One system call
//! takes all frames that are ready.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::resume_unwind;

use ai_integration_contract::wire::FrameError;
use bytes::{Buf, Bytes};
use nix::sys::socket::{ControlMessage, MsgFlags, Shutdown, sendmsg, shutdown};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::task::coop::consume_budget;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use crate::job::id::JobId;
use crate::link::codec::{Frame, FrameDecoder, FrameEncoder, Piece};
use crate::link::memory_file;
use crate::link::message::frames::shared_length;
use crate::link::message::{FromWorker, ToWorker};

/// The least size in bytes of a body that is encoded or decoded on another thread, because the
/// engine's thread serves all requests.
const LARGE: usize = 1 << 20;
/// The number of bytes that are read at once.
const READ: usize = 64 * 1024;
/// The number of slices that are written at once.
const SLICES: usize = 64;
/// The number of descriptors that may wait for their frames.
const DESCRIPTORS: usize = 64;
/// The maximum number of descriptors that the kernel passes at once (`SCM_MAX_FD`). With room for
/// all of them, none is lost.
const AT_ONCE: usize = 253;
/// The flag that marks received descriptors close-on-exec. On systems without it they are marked
/// after they have been received.
#[cfg(all(target_os = "linux", not(portable)))]
const CLOSED_ON_EXEC: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(any(not(target_os = "linux"), portable))]
const CLOSED_ON_EXEC: RecvFlags = RecvFlags::empty();

/// A link over a Unix socket.
#[derive(Debug)]
pub(super) struct SocketLink {
    socket: UnixStream,
    encoder: FrameEncoder,
    decoder: FrameDecoder,
    buffer: Box<[u8]>,
    control: Box<[MaybeUninit<u8>]>,
    files: VecDeque<OwnedFd>,
    /// The memory from which the worker reads the large inputs of its jobs. It is kept until the
    /// worker has finished the job, even if the job was cancelled.
    leases: HashMap<JobId, Bytes>,
    state: Sending,
    /// The decoding of a message with a large body on another thread.
    reading: Option<JoinHandle<Result<FromWorker, FrameError>>>,
}

/// The state of the direction to the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Open,
    /// The engine has closed it, and shuts it down once everything is written.
    Closing,
    Closed,
}

impl SocketLink {
    pub(super) fn new(socket: UnixStream) -> Self {
        SocketLink {
            socket,
            encoder: FrameEncoder::default(),
            decoder: FrameDecoder::default(),
            buffer: vec![0; READ].into(),
            control: Box::new_uninit_slice(rustix::cmsg_space!(ScmRights(AT_ONCE))),
            files: VecDeque::new(),
            leases: HashMap::new(),
            state: Sending::Open,
            reading: None,
        }
    }

    pub(super) fn share(&mut self) {
        self.encoder.shares = true;
    }

    pub(super) async fn send(&mut self, message: ToWorker) -> Result<(), FrameError> {
        if self.state != Sending::Open {
            return Ok(());
        }
        let id = message.job();
        let lease = if message.extent(LARGE) < LARGE {
            message.encode(&mut self.encoder)?
        } else {
            Box::pin(self.encode_on_thread(message)).await?
        };
        if let (Some(id), Some(lease)) = (id, lease) {
            self.leases.insert(id, lease);
        }
        Ok(())
    }

    /// Encodes a message on another thread.
    async fn encode_on_thread(&mut self, message: ToWorker) -> Result<Option<Bytes>, FrameError> {
        let mut apart = FrameEncoder::default();
        apart.shares = self.encoder.shares;
        let encoded = spawn_blocking(move || {
            let lease = message.encode(&mut apart);
            (apart, lease)
        });
        // If the runtime is stopping, nothing more is sent.
        let Some((apart, lease)) = finished(encoded.await) else { return Ok(None) };
        self.encoder.append(apart);
        lease
    }

    pub(super) fn close(&mut self) {
        if self.state == Sending::Open {
            self.state = Sending::Closing;
        }
    }

    pub(super) async fn receive(&mut self) -> Result<Option<FromWorker>, FrameError> {
        loop {
            if let Some(reading) = &mut self.reading {
                let read = finished(reading.await).transpose();
                self.reading = None;
                if let Ok(Some(message)) = &read {
                    self.release_lease(message);
                }
                return read;
            }
            if let Some(frame) = self.decoder.next_frame()? {
                let shared = shared_length(&frame)?;
                let file = shared.map(|length| self.take_body(length)).transpose()?;
                if shared.unwrap_or_default().max(frame.body.len()) < LARGE {
                    let message = decode(frame, file)?;
                    self.release_lease(&message);
                    return Ok(Some(message));
                }
                self.reading = Some(spawn_blocking(move || decode(frame, file)));
                continue;
            }
            // A descriptor arrives with the first byte of the frame that announces it. A
            // descriptor that is left over would be taken for the body of a later frame.
            if !self.files.is_empty() && self.decoder.buffer().is_empty() {
                return Err(FrameError::Body("no frame announced its memory file".to_owned()));
            }
            // If a write or a read fails, the worker has ended, which is no protocol error. The
            // messages that it sent before must still be read.
            if self.write().is_err() {
                self.state = Sending::Closed;
                self.encoder.clear();
                // The worker may still run without having received its jobs, and the engine would
                // wait for it. After this shutdown the link ends once the bytes that have
                // arrived are read.
                self.shut_down(Shutdown::Both);
            }
            match self.read() {
                Ok(0) => return Ok(None),
                Ok(_) => {
                    // A worker may write as fast as the engine reads.
                    consume_budget().await;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Ok(None),
            }
            let interest = if self.encoder.is_empty() {
                Interest::READABLE
            } else {
                Interest::READABLE | Interest::WRITABLE
            };
            if self.socket.ready(interest).await.is_err() {
                return Ok(None);
            }
        }
    }

    pub(super) fn take_file(&mut self) -> Option<File> {
        self.files.pop_front().map(File::from)
    }

    /// Releases the memory of a job's large inputs if the message ends the job.
    fn release_lease(&mut self, message: &FromWorker) {
        if let FromWorker::Result(id, _)
        | FromWorker::BatchFailed(id, _)
        | FromWorker::InvalidInputs(id, _) = message
            && !self.leases.is_empty()
        {
            self.leases.remove(id);
        }
    }

    /// Takes the memory file of a body, with its length.
    fn take_body(&mut self, length: usize) -> Result<(OwnedFd, usize), FrameError> {
        let file = self.files.pop_front();
        let file = file.ok_or_else(|| FrameError::Body("its memory file is missing".to_owned()))?;
        Ok((file, length))
    }

    /// Writes as much as is possible without waiting.
    fn write(&mut self) -> io::Result<()> {
        while !self.encoder.is_empty() {
            let pieces = self.encoder.pieces();
            let result = if let Some(Piece::WithFile(bytes, file)) = pieces.front() {
                self.socket.try_io(Interest::WRITABLE, || {
                    let files = [file.as_raw_fd()];
                    let control = [ControlMessage::ScmRights(&files)];
                    let (socket, slices) = (self.socket.as_raw_fd(), [IoSlice::new(bytes)]);
                    sendmsg::<()>(socket, &slices, &control, MsgFlags::empty(), None)
                        .map_err(io::Error::from)
                })
            } else {
                let plain = pieces.iter().map_while(|piece| match piece {
                    Piece::Bytes(bytes) => Some(IoSlice::new(bytes)),
                    Piece::WithFile(..) => None,
                });
                let slices: Vec<IoSlice<'_>> = plain.take(SLICES).collect();
                self.socket.try_write_vectored(&slices)
            };
            match result {
                Ok(written) => consume(pieces, written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if self.state == Sending::Closing {
            self.state = Sending::Closed;
            self.shut_down(Shutdown::Write);
        }
        Ok(())
    }

    fn shut_down(&self, how: Shutdown) {
        // If this fails, the other end is closed already.
        let _ = shutdown(self.socket.as_raw_fd(), how);
    }

    /// Reads what has arrived; 0 at the end.
    fn read(&mut self) -> io::Result<usize> {
        // No descriptor can arrive within a large frame, so its bytes are read directly into the
        // decoder.
        let missing = self.decoder.missing();
        if missing >= READ {
            let buffer = self.decoder.buffer();
            let room = (buffer.capacity() - buffer.len()).min(missing);
            return self.socket.try_read_buf(&mut bytes::BufMut::limit(buffer, room));
        }
        let Self { socket, buffer, control, files, .. } = self;
        let read = socket.try_io(Interest::READABLE, || {
            let mut slices = [IoSliceMut::new(buffer)];
            // nix's `recvmsg` is not used: if only some of the descriptors can be opened here, it
            // does not return them, so they could not be closed.
            let mut control = RecvAncillaryBuffer::new(control);
            let message = recvmsg(&*socket, &mut slices, &mut control, CLOSED_ON_EXEC)?;
            for control in control.drain() {
                if let RecvAncillaryMessage::ScmRights(received) = control {
                    for file in received {
                        #[cfg(any(not(target_os = "linux"), portable))]
                        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::CLOEXEC)?;
                        files.push_back(file);
                    }
                }
            }
            if message.flags.contains(ReturnFlags::CTRUNC) {
                return Err(io::Error::other("some descriptors could not be received"));
            }
            Ok(message.bytes)
        })?;
        if files.len() > DESCRIPTORS {
            return Err(io::Error::other("there are more descriptors than frames"));
        }
        self.decoder.buffer().extend_from_slice(&self.buffer[..read]);
        Ok(read)
    }
}

/// Decodes a message, whose body is in `file` if there is one.
fn decode(mut frame: Frame, file: Option<(OwnedFd, usize)>) -> Result<FromWorker, FrameError> {
    if let Some((file, length)) = file {
        frame.body = memory_file::read(file, length).map_err(|error| {
            FrameError::Body(format!("its memory file cannot be read: {error}"))
        })?;
    }
    FromWorker::decode(&frame)
}

/// Returns the result of a blocking task; `None` if the runtime stopped before. Panics if the task
/// has panicked.
fn finished<T>(done: Result<T, JoinError>) -> Option<T> {
    match done.map_err(JoinError::try_into_panic) {
        Ok(done) => Some(done),
        Err(Ok(panic)) => resume_unwind(panic),
        Err(Err(_)) => None,
    }
}

/// Removes the bytes that were written.
fn consume(pieces: &mut VecDeque<Piece>, mut written: usize) {
    while written > 0 {
        match pieces.pop_front() {
            Some(Piece::Bytes(mut bytes) | Piece::WithFile(mut bytes, _)) => {
                let step = written.min(bytes.len());
                bytes.advance(step);
                written -= step;
                if !bytes.is_empty() {
                    // The descriptor was sent with the first byte.
                    pieces.push_front(Piece::Bytes(bytes));
                }
            }
            None => return,
        }
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", not(portable)))]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::sync::Arc;
    use std::time::Duration;

    use ai_integration_contract::{Inputs, Outcome, Value};
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::unix::pipe::Receiver;
    use tokio::time::timeout;

    use super::*;
    use crate::link::memory_file::{BodyBuffer, Placement};

    /// A size that no other test uses, so that new memory of this size is memory that this test has
    /// freed.
    const SIZE: usize = 16 << 20;

    fn body(byte: u8) -> Bytes {
        let mut buffer = BodyBuffer::new(SIZE);
        buffer.extend_from_slice(&vec![byte; SIZE]);
        buffer.freeze()
    }

    async fn send(theirs: &mut UnixStream, message: &FromWorker) {
        let mut encoder = FrameEncoder::default();
        message.encode(&mut encoder).unwrap();
        for piece in encoder.pieces() {
            let (Piece::Bytes(bytes) | Piece::WithFile(bytes, _)) = piece;
            theirs.write_all(bytes).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_large_input_is_kept_until_the_worker_has_finished_its_job() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut link = SocketLink::new(ours);
        link.share();
        let first = body(1);
        let place =
            Placement::of(&[ai_integration_contract::wire::Segment::Bytes(&first)]).unwrap();
        let file = File::from(place.file.try_clone().unwrap());
        drop(place);
        let read = || {
            let mut byte = [0];
            file.read_exact_at(&mut byte, 0).unwrap();
            byte[0]
        };
        let id = JobId(7);
        let inputs = Arc::new(Inputs::from_iter([("x".to_owned(), Value::Bytes(first))]));
        link.send(ToWorker::Job { id, inputs, more: false, tell_start: false }).await.unwrap();
        // The ticket is dropped, and nobody else holds the inputs any more.
        link.send(ToWorker::Cancel(id)).await.unwrap();
        drop(body(2));
        assert_eq!(read(), 1);

        let result = FromWorker::Result(id, Outcome::default());
        send(&mut theirs, &result).await;
        assert_eq!(link.receive().await.unwrap(), Some(result));
        drop(body(3));
        assert_eq!(read(), 3);
    }

    #[tokio::test]
    async fn a_link_that_cannot_be_written_to_ends_after_the_last_message() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut link = SocketLink::new(ours);
        let sent = [FromWorker::Start(JobId(7), None), FromWorker::Pause];
        for message in &sent {
            send(&mut theirs, message).await;
        }
        shutdown(theirs.as_raw_fd(), Shutdown::Read).unwrap();
        link.send(ToWorker::Cancel(JobId(7))).await.unwrap();
        for message in sent {
            assert_eq!(link.receive().await, Ok(Some(message)));
        }
        let end = timeout(Duration::from_secs(5), link.receive()).await;
        assert_eq!(end, Ok(Ok(None)));
    }

    #[tokio::test]
    async fn a_memory_file_larger_than_a_body_may_be_is_refused() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut link = SocketLink::new(ours);
        let length = 1_usize << 40;
        let header = format!(r#"{{"type":"result","id":7,"data":"bytes","shared":{length}}}"#);
        let prefix = [u32::try_from(header.len()).unwrap().to_be_bytes(), [0; 4]].concat();
        // A sparse file, which takes no memory.
        let file = File::from(memfd_create(c"", MemfdFlags::ALLOW_SEALING).unwrap());
        file.set_len(length as u64).unwrap();
        fcntl_add_seals(&file, SealFlags::from_bits_retain(15)).unwrap();
        let files = [file.as_raw_fd()];
        let control = [ControlMessage::ScmRights(&files)];
        let slices = [IoSlice::new(&prefix)];
        sendmsg::<()>(theirs.as_raw_fd(), &slices, &control, MsgFlags::empty(), None).unwrap();
        theirs.write_all(header.as_bytes()).await.unwrap();
        assert_eq!(link.receive().await, Err(FrameError::BodyLength(length)));
    }

    #[tokio::test]
    async fn too_many_descriptors_end_the_link_and_none_is_left_open() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut link = SocketLink::new(ours);
        let (end, passed) = std::io::pipe().unwrap();
        let files = [passed.as_raw_fd(); AT_ONCE];
        let control = [ControlMessage::ScmRights(&files)];
        let slices = [IoSlice::new(b"x")];
        sendmsg::<()>(theirs.as_raw_fd(), &slices, &control, MsgFlags::empty(), None).unwrap();
        drop(passed);
        assert_eq!(link.receive().await, Ok(None));
        drop(link);
        let mut end = Receiver::from_owned_fd(end.into()).unwrap();
        let read = timeout(Duration::from_secs(5), end.read_u8()).await.unwrap();
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}

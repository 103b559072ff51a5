//! One connection to a service: without blocking, asked once at a time.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::{http::HttpQuestion, postgres::PostgresQuestion};

/// A connection over loopback is made at once, unless the listener's queue is full.
const CONNECT_WITHIN: Duration = Duration::from_millis(20);

/// What a service is asked, ready to be sent.
#[derive(Debug, Clone)]
pub(super) enum Question {
    Http(HttpQuestion),
    Postgres(PostgresQuestion),
}

/// What the bytes received so far amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// More must come.
    Pending,
    /// Send this next; the bytes read so far are used up.
    Reply(Vec<u8>),
    /// The correct answer.
    Correct,
    /// An answer, and a wrong one.
    Wrong(String),
}

/// A connection.
#[derive(Debug)]
pub(super) struct Conversation {
    stream: TcpStream,
    received: Vec<u8>,
    asked: Asked,
}

/// Whether an answer is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    No,
    Yes,
}

impl Conversation {
    /// Connects and asks.
    pub(super) fn open(address: SocketAddr, question: &Question) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_WITHIN)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut conversation = Self { stream, received: Vec::new(), asked: Asked::No };
        match question {
            Question::Http(_) => conversation.ask(question)?,
            Question::Postgres(postgres) => {
                conversation.send(&postgres.startup)?;
                conversation.asked = Asked::Yes;
            }
        }
        Ok(conversation)
    }

    /// Asks once more.
    pub(super) fn ask(&mut self, question: &Question) -> io::Result<()> {
        self.received.clear();
        self.asked = Asked::Yes;
        match question {
            Question::Http(http) => self.send(&http.request),
            Question::Postgres(postgres) => self.send(&postgres.query),
        }
    }

    /// A question is far smaller than any socket buffer: a part sent is an error.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = self.stream.write(bytes)?;
        if sent == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Reads what has come. `Err`: the connection is over.
    pub(super) fn hear(&mut self, question: &Question) -> Result<Progress, String> {
        let mut buffer = [0_u8; 16 * 1024];
        let mut closed = false;
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    closed = true;
                    break;
                }
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        if self.asked == Asked::No {
            // Nothing was asked: whatever comes is a farewell.
            return Err("closed while idle".to_owned());
        }
        let progress = match question {
            Question::Http(http) => http.judge(&self.received),
            Question::Postgres(postgres) => postgres.judge(&self.received),
        };
        match progress {
            Progress::Pending if closed => Err("closed before the answer".to_owned()),
            Progress::Reply(bytes) => {
                self.received.clear();
                self.send(&bytes).map_err(|error| error.to_string())?;
                Ok(Progress::Pending)
            }
            Progress::Correct | Progress::Wrong(_) => {
                self.asked = Asked::No;
                self.received.clear();
                Ok(progress)
            }
            Progress::Pending => Ok(progress),
        }
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

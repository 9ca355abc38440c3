//! The files that the night writes and reads, as bytes: statements for merchants and billers, and what
//! banks and billers send. Profiles say how a file is laid out; nothing here knows where files come
//! from or where they go.

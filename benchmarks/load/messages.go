package main

import (
	"encoding/binary"
	"errors"
)

const (
	prefixBytes     = 5
	maxMessageBytes = 16 << 20
)

var errCompressed = errors.New("the server compressed a message, which nobody asked for")

// splitter cuts a stream's bytes into gRPC messages: a byte that says whether a message is
// compressed, its length in 4, and the message.
type splitter struct {
	partial []byte // begun in an earlier frame
}

// feed hands each message that is now complete to `take`, which must not keep it.
func (s *splitter) feed(data []byte, take func(message []byte)) error {
	if len(s.partial) > 0 {
		s.partial = append(s.partial, data...)
		data = s.partial
	}
	for len(data) >= prefixBytes {
		if data[0] != 0 {
			return errCompressed
		}
		size := int(binary.BigEndian.Uint32(data[1:prefixBytes]))
		if size > maxMessageBytes {
			return errors.New("the server sent a message of more than 16 MiB")
		}
		if len(data) < prefixBytes+size {
			break
		}
		take(data[prefixBytes : prefixBytes+size])
		data = data[prefixBytes+size:]
	}
	s.keep(data)
	return nil
}

// keep remembers what is left; `left` may be the end of `partial` itself.
func (s *splitter) keep(left []byte) {
	if len(left) == 0 {
		s.partial = nil
		return
	}
	s.partial = append(s.partial[:0], left...)
}

func prefixed(message []byte) []byte {
	framed := make([]byte, prefixBytes, prefixBytes+len(message))
	binary.BigEndian.PutUint32(framed[1:], uint32(len(message)))
	return append(framed, message...)
}

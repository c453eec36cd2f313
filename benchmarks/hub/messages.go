package main

import (
	"fmt"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// rawCodec leaves messages as the bytes that they are: the hub reads the few fields that it needs,
// and shares the bytes of a note among all who get it.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(message any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*message.(*[]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, message any) error {
	*message.(*[]byte) = data.Materialize()
	return nil
}

// fields are the length-delimited fields of a message, the last of each number.
type fields map[protowire.Number][]byte

func fieldsOf(message []byte) (fields, error) {
	found := make(fields, 4)
	for len(message) > 0 {
		number, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return nil, fmt.Errorf("not a message: %w", protowire.ParseError(size))
		}
		message = message[size:]
		size = protowire.ConsumeFieldValue(number, kind, message)
		if size < 0 {
			return nil, fmt.Errorf("not a message: %w", protowire.ParseError(size))
		}
		if kind == protowire.BytesType {
			found[number], _ = protowire.ConsumeBytes(message)
		} else {
			found[number] = message[:size]
		}
		message = message[size:]
	}
	return found, nil
}

func appendBytes(message []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(message, number, protowire.BytesType), value)
}

func appendNumber(message []byte, number protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(message, number, protowire.VarintType), value)
}

// noteMessage is the SubscribeResponse that carries one note. Joined, such messages are one that carries
// them all.
func noteMessage(room, author, text []byte, sequence uint64) []byte {
	note := make([]byte, 0, len(room)+len(author)+len(text)+32)
	note = appendBytes(note, 1, room)
	note = appendNumber(note, 2, epoch)
	note = appendNumber(note, 3, sequence)
	note = appendBytes(note, 5, author)
	note = appendBytes(note, 6, text)
	return appendBytes(nil, 1, appendBytes(nil, 1, note)) // events, Event.note
}

// sendResponse is a SendNoteResponse.
func sendResponse(sequence uint64) []byte {
	return appendBytes(nil, 1, appendNumber(appendNumber(nil, 1, epoch), 2, sequence))
}

package main

import (
	"bytes"
	"fmt"
	"strings"
)

// A note's text begins with a mark: `~T`, when it was sent (ns since the Unix epoch), its
// number in its room, and which run sent it. So a note is counted without decoding
// the response that carries it, whatever the dialect and however many notes come together.
var markStart = []byte("~T")

const (
	stampDigits  = 19
	numberDigits = 10
	runDigits    = 8
	markBytes    = stampDigits + 1 + numberDigits + 1 + runDigits // behind the start
)

type mark struct {
	sentAt int64 // ns since the Unix epoch
	number int   // in its room, from 1
}

// markedText is a note's text of `size` bytes.
func markedText(sentAt int64, number int, run uint32, size int) string {
	text := fmt.Sprintf("%s%0*d;%0*d;%0*x", markStart, stampDigits, sentAt, numberDigits, number, runDigits, run)
	return text + strings.Repeat("x", max(0, size-len(text)))
}

// nextMark finds the next mark of a run; `rest` is what follows it, nil where there is none.
func nextMark(body []byte, run []byte) (found mark, rest []byte) {
	for {
		at := bytes.Index(body, markStart)
		if at < 0 || len(body) < at+len(markStart)+markBytes {
			return mark{}, nil
		}
		fields := body[at+len(markStart):]
		body = fields[markBytes:]
		if bytes.Equal(fields[markBytes-runDigits:markBytes], run) {
			number := digits(fields[stampDigits+1 : stampDigits+1+numberDigits])
			return mark{sentAt: digits(fields[:stampDigits]), number: int(number)}, body
		}
	}
}

func runTag(run uint32) []byte {
	return fmt.Appendf(nil, "%0*x", runDigits, run)
}

func digits(text []byte) int64 {
	var value int64
	for _, digit := range text {
		value = value*10 + int64(digit-'0')
	}
	return value
}

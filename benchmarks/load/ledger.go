package main

import "sync"

// ledger is what was sent to one room: its notes are numbered from 1.
type ledger struct {
	room string

	mu     sync.Mutex
	issued int
	// For each note, by number - 1: 0 until it is acknowledged, then the number of the first note
	// that was sent after that. A stream that has had that one must have had this one.
	passedBy []int
	answered int
}

// next numbers a note that is about to be sent.
func (l *ledger) next() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.issued++
	l.passedBy = append(l.passedBy, 0)
	return l.issued
}

func (l *ledger) acknowledge(number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passedBy[number-1] = l.issued + 1
	l.answered++
}

func (l *ledger) last() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.issued
}

// seen is which notes of its room a stream has had.
type seen struct {
	after   int // notes up to this one need not come
	words   []uint64
	highest int
	unique  int
	again   int
}

func (s *seen) add(number int) {
	word, bit := number/64, uint64(1)<<(number%64)
	for len(s.words) <= word {
		s.words = append(s.words, 0)
	}
	if s.words[word]&bit != 0 {
		s.again++
		return
	}
	s.words[word] |= bit
	s.unique++
	s.highest = max(s.highest, number)
}

func (s *seen) has(number int) bool {
	word := number / 64
	return word < len(s.words) && s.words[word]&(1<<(number%64)) != 0
}

// verdict is what became of the acknowledged notes of one stream, or of many.
type verdict struct {
	lost     int // passed over: a later note has come
	behind   int // yet to come
	repeated int
}

func (v verdict) plus(other verdict) verdict {
	return verdict{v.lost + other.lost, v.behind + other.behind, v.repeated + other.repeated}
}

func (l *ledger) judge(s *seen) verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := verdict{repeated: s.again}
	for number := s.after + 1; number <= l.issued; number++ {
		passedBy := l.passedBy[number-1]
		switch {
		case passedBy == 0 || s.has(number):
		case s.highest >= passedBy:
			v.lost++
		default:
			v.behind++
		}
	}
	return v
}

package main

import "testing"

func sent(acknowledged ...bool) *ledger {
	l := &ledger{}
	for _, each := range acknowledged {
		if number := l.next(); each {
			l.acknowledge(number)
		}
	}
	return l
}

func had(numbers ...int) *seen {
	s := &seen{}
	for _, number := range numbers {
		s.add(number)
	}
	return s
}

func TestANoteThatALaterOneOvertookIsLost(t *testing.T) {
	if got := sent(true, true, true).judge(had(1, 3)); got != (verdict{lost: 1}) {
		t.Errorf("got %+v", got)
	}
}

func TestANoteThatMayStillComeIsBehind(t *testing.T) {
	if got := sent(true, true, true).judge(had(1)); got != (verdict{behind: 2}) {
		t.Errorf("got %+v", got)
	}
}

func TestANoteSentBesideTheMissingOneDoesNotProveItLost(t *testing.T) {
	l := &ledger{}
	first, second := l.next(), l.next() // both are on their way: either may be accepted first
	l.acknowledge(second)
	l.acknowledge(first)
	if got := l.judge(had(second)); got != (verdict{behind: 1}) {
		t.Errorf("got %+v", got)
	}
}

func TestANoteThatWasNotAcknowledgedIsNotMissed(t *testing.T) {
	if got := sent(true, false, true).judge(had(1, 3)); got != (verdict{}) {
		t.Errorf("got %+v", got)
	}
}

func TestANoteThatComesAgainIsRepeated(t *testing.T) {
	if got := sent(true, true).judge(had(1, 2, 1)); got != (verdict{repeated: 1}) {
		t.Errorf("got %+v", got)
	}
}

func TestNotesFromBeforeAStreamJoinedAreNotMissed(t *testing.T) {
	late := had(3)
	late.after = 2
	if got := sent(true, true, true).judge(late); got != (verdict{}) {
		t.Errorf("got %+v", got)
	}
}

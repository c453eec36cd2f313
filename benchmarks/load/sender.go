package main

import (
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const sendTimeout = 10 * time.Second

// sender sends notes at a rate, whatever the answers do (an open loop), to one room after the other.
// Only when too many sends have no answer does it wait.
type sender struct {
	options     options
	run         uint32
	connections []*connection
	ledgers     []*ledger
	complain    func(what string, err error)
	slots       chan struct{}

	mu    sync.Mutex
	stats sendStats
}

// sendStats is how the sending went while it was measured.
type sendStats struct {
	acknowledged int64
	failed       int64
	blocked      int64     // sends that were due and waited for answers to others
	late         histogram // from due to sent, apart from waits for answers: the load's own fault
	answers      histogram // from sent to answered
}

func newSender(o options, run uint32, connections []*connection, ledgers []*ledger, complain func(string, error)) *sender {
	return &sender{
		options: o, run: run, connections: connections, ledgers: ledgers, complain: complain,
		slots: make(chan struct{}, o.inFlight),
	}
}

// keepSending sends until `stop`, and then waits for the answers, at most for the settle time.
func (s *sender) keepSending(stop <-chan struct{}) {
	runtime.LockOSThread() // it sleeps there
	defer runtime.UnlockOSThread()
	start := time.Now()
	interval := float64(time.Second) / s.options.rate
	free := start // since when no answer has been waited for
	for i := 0; ; i++ {
		due := start.Add(time.Duration(float64(i) * interval))
		if !sleepUntil(due, stop) {
			break
		}
		if s.takeSlot() {
			s.count(func(stats *sendStats) { stats.late.add(min(time.Since(due), time.Since(free))) })
		} else if !s.awaitSlot(stop) {
			break
		} else {
			free = time.Now()
		}
		s.send(i)
	}
	s.awaitAnswers()
}

// sendAll sends this many notes as fast as the bound on sends in flight lets it.
func (s *sender) sendAll(notes int) {
	for i := range notes {
		s.slots <- struct{}{}
		s.send(i)
	}
	s.awaitAnswers()
}

// sleepUntil sleeps in the kernel. time.Sleep may be a millisecond late in a process that waits for its
// sockets: sends would come in bursts, which are cheaper for servers than what the rate says.
func sleepUntil(due time.Time, stop <-chan struct{}) bool {
	for wait := time.Until(due); wait > 0; wait = time.Until(due) {
		left := unix.NsecToTimespec(wait.Nanoseconds())
		_ = unix.Nanosleep(&left, nil) // where a signal ends it early, it goes on
	}
	select {
	case <-stop:
		return false
	default:
		return true
	}
}

func (s *sender) takeSlot() bool {
	select {
	case s.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s *sender) awaitSlot(stop <-chan struct{}) bool {
	s.count(func(stats *sendStats) { stats.blocked++ })
	select {
	case s.slots <- struct{}{}:
		return true
	case <-stop:
		return false
	}
}

func (s *sender) send(i int) {
	to := s.ledgers[i%len(s.ledgers)]
	one := &pendingSend{sender: s, ledger: to, number: to.next(), sentAt: time.Now()}
	text := markedText(one.sentAt.UnixNano(), one.number, s.run, s.options.size)
	dialect := s.options.dialect
	over := s.connections[i%len(s.connections)]
	if err := over.open(dialect.sendPath, sendTimeout, dialect.send(to.room, text), one); err != nil {
		one.ended(err)
	}
}

func (s *sender) awaitAnswers() {
	timeout := time.After(s.options.settle)
	for range cap(s.slots) {
		select {
		case s.slots <- struct{}{}:
		case <-timeout:
			return
		}
	}
	for range cap(s.slots) {
		<-s.slots
	}
}

func (s *sender) count(change func(stats *sendStats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.stats)
}

// take hands over the figures and begins anew.
func (s *sender) take() sendStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.stats
	s.stats = sendStats{}
	return taken
}

// pendingSend is one send without an answer.
type pendingSend struct {
	sender *sender
	ledger *ledger
	number int
	sentAt time.Time
}

func (p *pendingSend) joined() {}

func (p *pendingSend) received([]byte, time.Time) error { return nil }

func (p *pendingSend) ended(err error) {
	<-p.sender.slots
	if err != nil {
		p.sender.count(func(stats *sendStats) { stats.failed++ })
		p.sender.complain("send", err)
		return
	}
	p.ledger.acknowledge(p.number)
	p.sender.count(func(stats *sendStats) {
		stats.acknowledged++
		stats.answers.add(time.Since(p.sentAt))
	})
}

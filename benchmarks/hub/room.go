package main

import "sync"

const (
	epoch     = 1
	keptNotes = 1_000 // of each room, for those who come later
	backlog   = 1_024 // notes that a reader may be behind
)

// room is the newest notes and who reads them.
type room struct {
	mu       sync.Mutex
	sequence uint64
	kept     [][]byte // oldest first
	readers  map[*reader]struct{}
}

// reader is one stream. Its channel is closed where it is too far behind.
type reader struct {
	messages chan []byte
}

// post adds a note, which `make` is given its sequence for, and hands it to all readers.
func (r *room) post(make func(sequence uint64) []byte) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sequence++
	message := make(r.sequence)
	if len(r.kept) == keptNotes {
		copy(r.kept, r.kept[1:])
		r.kept = r.kept[:keptNotes-1]
	}
	r.kept = append(r.kept, message)
	for each := range r.readers {
		select {
		case each.messages <- message:
		default:
			delete(r.readers, each)
			close(each.messages)
		}
	}
	return r.sequence
}

// join adds a reader, and returns what was there before.
func (r *room) join() (*reader, [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := &reader{messages: make(chan []byte, backlog)}
	r.readers[one] = struct{}{}
	return one, append([][]byte(nil), r.kept...)
}

func (r *room) leave(one *reader) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.readers, one)
}

// hub is all rooms.
type hub struct {
	mu    sync.RWMutex
	rooms map[string]*room
}

func newHub() *hub {
	return &hub{rooms: map[string]*room{}}
}

func (h *hub) room(name []byte) *room {
	h.mu.RLock()
	found := h.rooms[string(name)]
	h.mu.RUnlock()
	if found != nil {
		return found
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rooms[string(name)] == nil {
		h.rooms[string(name)] = &room{readers: map[*reader]struct{}{}}
	}
	return h.rooms[string(name)]
}

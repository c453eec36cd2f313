package main

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

const author = "load"

// dialect is a chat service that takes this load: its methods, and its messages as bytes.
type dialect struct {
	subscribePath string
	sendPath      string
	// Whether the headers of a subscription say that it gets every note from now on.
	headersMeanJoined bool
	oneRoom           bool
	subscribe         func(room string, fromStart bool) []byte
	send              func(room, text string) []byte
}

func dialectNamed(name string) (dialect, error) {
	switch name {
	case "notecast":
		return notecast, nil
	case "tutorial":
		return tutorial, nil
	}
	return dialect{}, fmt.Errorf("-dialect is notecast or tutorial, not %q", name)
}

// notecast is proto/notecast/v1/chat.proto.
var notecast = dialect{
	subscribePath:     "/notecast.v1.ChatService/Subscribe",
	sendPath:          "/notecast.v1.ChatService/SendNote",
	headersMeanJoined: true,
	subscribe: func(room string, fromStart bool) []byte {
		subscription := appendString(nil, 1, room) // RoomSubscription.room
		if fromStart {
			subscription = protowire.AppendTag(subscription, 4, protowire.VarintType) // from_start
			subscription = protowire.AppendVarint(subscription, 1)
		}
		return appendString(nil, 1, string(subscription)) // SubscribeRequest.subscriptions
	},
	send: func(room, text string) []byte {
		return appendString(appendString(appendString(nil, 1, room), 2, author), 3, text)
	},
}

// tutorial is proto/tutorial/chat.proto. Its one room has no name, its streams begin with
// the whole history, and a server may send a stream's headers with its first note only.
var tutorial = dialect{
	subscribePath: "/grpc.ChatServer/ChatStream",
	sendPath:      "/grpc.ChatServer/SendNote",
	oneRoom:       true,
	subscribe:     func(string, bool) []byte { return nil },
	send: func(_, text string) []byte {
		return appendString(appendString(nil, 1, author), 2, text)
	},
}

func (d dialect) validate(o options) error {
	if d.oneRoom && (o.rooms != 1 || o.mode == storm) {
		return errors.New("the tutorial's service has one room, and no storm")
	}
	return nil
}

func (d dialect) room(prefix string, number int) string {
	if d.oneRoom {
		return ""
	}
	return fmt.Sprintf("%s%d", prefix, number)
}

func appendString(b []byte, number protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), value)
}

package main

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maxJoinedBytes bounds a message of old notes: clients take 4 MiB.
const maxJoinedBytes = 256 << 10

type (
	unary  func(request []byte) ([]byte, error)
	stream func(request []byte, stream grpc.ServerStream) error
)

// service is a ServiceDesc of one unary and one server-streaming method that speak bytes.
func service(name, sendName string, send unary, subscribeName string, subscribe stream) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: name,
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: sendName,
			Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				var request []byte
				if err := decode(&request); err != nil {
					return nil, err
				}
				response, err := send(request)
				return &response, err
			},
		}},
		Streams: []grpc.StreamDesc{{
			StreamName:    subscribeName,
			ServerStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error {
				var request []byte
				if err := stream.RecvMsg(&request); err != nil {
					return err
				}
				return subscribe(request, stream)
			},
		}},
	}
}

// chatService is notecast.v1.ChatService, as far as a hub without history can go.
func chatService(h *hub) *grpc.ServiceDesc {
	return service("notecast.v1.ChatService", "SendNote", h.sendNote, "Subscribe", h.subscribe)
}

func (h *hub) sendNote(request []byte) ([]byte, error) {
	note, err := fieldsOf(request)
	if err != nil || len(note[1]) == 0 {
		return nil, status.Error(codes.InvalidArgument, "room: must not be empty")
	}
	sequence := h.room(note[1]).post(func(sequence uint64) []byte {
		return noteMessage(note[1], note[2], note[3], sequence)
	})
	return sendResponse(sequence), nil
}

func (h *hub) subscribe(request []byte, stream grpc.ServerStream) error {
	wanted, err := fieldsOf(request)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	subscription, err := fieldsOf(wanted[1])
	if err != nil || len(subscription[1]) == 0 {
		return status.Error(codes.InvalidArgument, "subscriptions[0].room: must not be empty")
	}
	_, fromStart := subscription[4]
	return relay(h.room(subscription[1]), fromStart, true, stream)
}

// tutorialService is the tutorial's grpc.ChatServer. Its room keeps its notes as that service sends them.
func tutorialService(lobby *room) *grpc.ServiceDesc {
	send := func(request []byte) ([]byte, error) {
		lobby.post(func(uint64) []byte { return request })
		return nil, nil
	}
	subscribe := func(_ []byte, stream grpc.ServerStream) error {
		return relay(lobby, true, false, stream)
	}
	return service("grpc.ChatServer", "SendNote", send, "ChatStream", subscribe)
}

// relay sends a room's notes until the client leaves: those it has, if wanted, then each new one.
func relay(r *room, fromStart, joinOld bool, stream grpc.ServerStream) error {
	one, old := r.join()
	defer r.leave(one)
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	if fromStart {
		if err := sendOld(old, joinOld, stream); err != nil {
			return err
		}
	}
	for {
		select {
		case message, open := <-one.messages:
			if !open {
				return status.Error(codes.ResourceExhausted, "too far behind")
			}
			if err := stream.SendMsg(&message); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

func sendOld(old [][]byte, join bool, stream grpc.ServerStream) error {
	var joined []byte
	for i, message := range old {
		joined = append(joined, message...)
		if join && i < len(old)-1 && len(joined) < maxJoinedBytes {
			continue
		}
		if err := stream.SendMsg(&joined); err != nil {
			return err
		}
		joined = nil // the transport may still hold it
	}
	return nil
}

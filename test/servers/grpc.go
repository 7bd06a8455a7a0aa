package servers

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// greeter is gRPC's hello, with a method that streams both ways.
func greeter() Case {
	return Case{
		Name: "gRPC",
		Serve: func(l net.Listener, _ tls.Certificate) func() error {
			server := grpc.NewServer()
			server.RegisterService(&greeting, nil)
			return running(func() error { return server.Serve(l) }, func() error { server.Stop(); return nil }, grpc.ErrServerStopped)
		},
		Dial: func(addr string, _ *x509.Certificate) (Client, error) {
			c, err := grpcDial(addr)
			if err != nil {
				return nil, err
			}
			return client{
				exchange: func(payload []byte) error {
					answer, err := sayHello(context.Background(), c, payload)
					if err != nil {
						return err
					}
					return same(append([]byte("hello "), payload...), answer)
				},
				close: c.Close,
			}, nil
		},
		Talk: talkGRPC,
	}
}

// greeting is the service: SayHello answers one message with one, Chat each message of a stream.
var greeting = grpc.ServiceDesc{
	ServiceName: "berth.Greeter",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "SayHello",
		Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var name wrapperspb.BytesValue
			if err := decode(&name); err != nil {
				return nil, err
			}
			switch string(name.Value) {
			case "":
				return nil, status.Error(codes.InvalidArgument, "no name")
			case "wait":
				<-ctx.Done()
				return nil, ctx.Err()
			}
			incoming, _ := metadata.FromIncomingContext(ctx)
			_ = grpc.SetHeader(ctx, metadata.Pairs("token", fmt.Sprint(incoming.Get("token"))))
			_ = grpc.SetTrailer(ctx, metadata.Pairs("end", "reached"))
			return hello(&name), nil
		},
	}},
	Streams: []grpc.StreamDesc{{
		StreamName: "Chat", ServerStreams: true, ClientStreams: true,
		Handler: func(_ any, stream grpc.ServerStream) error {
			for {
				var name wrapperspb.BytesValue
				switch err := stream.RecvMsg(&name); {
				case errors.Is(err, io.EOF):
					return nil
				case err != nil:
					return err
				}
				if err := stream.SendMsg(hello(&name)); err != nil {
					return err
				}
			}
		},
	}},
}

func hello(name *wrapperspb.BytesValue) *wrapperspb.BytesValue {
	return wrapperspb.Bytes(append([]byte("hello "), name.Value...))
}

func grpcDial(addr string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

func sayHello(ctx context.Context, c *grpc.ClientConn, name []byte, options ...grpc.CallOption) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	var answer wrapperspb.BytesValue
	err := c.Invoke(ctx, "/berth.Greeter/SayHello", wrapperspb.Bytes(name), &answer, options...)
	return answer.Value, err
}

func talkGRPC(addr string, _ *x509.Certificate) ([]string, error) {
	t := &talk{}
	c, err := grpcDial(addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	t.step("hello", func() error {
		var header, trailer metadata.MD
		ctx := metadata.AppendToOutgoingContext(context.Background(), "token", "t")
		answer, err := sayHello(ctx, c, []byte("world"), grpc.Header(&header), grpc.Trailer(&trailer))
		t.sayf("%s, token %s, end %s", answer, header.Get("token"), trailer.Get("end"))
		return err
	})
	t.step("3 MiB", func() error {
		answer, err := sayHello(context.Background(), c, Payload(3<<20))
		t.sayf("%d bytes", len(answer))
		return err
	})
	t.step("a status", func() error {
		_, err := sayHello(context.Background(), c, nil)
		t.sayf("%v", err)
		return nil
	})
	t.step("a deadline", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		_, err := sayHello(ctx, c, []byte("wait"))
		t.sayf("%v", status.Code(err))
		return nil
	})
	t.step("an unknown method", func() error {
		t.sayf("%v", status.Code(c.Invoke(context.Background(), "/berth.Greeter/Nothing", wrapperspb.Bytes(nil), &wrapperspb.BytesValue{})))
		return nil
	})
	t.step("a stream", func() error { return t.chat(c) })
	return t.result()
}

// chat sends all messages and reads the answers at the same time.
func (t *talk) chat(c *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	stream, err := c.NewStream(ctx, &greeting.Streams[0], "/berth.Greeter/Chat")
	if err != nil {
		return err
	}
	const messages = 100
	sent := make(chan error, 1)
	go func() {
		for i := range messages {
			if err := stream.SendMsg(wrapperspb.Bytes(Payload(1000 * i))); err != nil {
				sent <- err
				return
			}
		}
		sent <- stream.CloseSend()
	}()
	for i := range messages {
		var answer wrapperspb.BytesValue
		if err := stream.RecvMsg(&answer); err != nil {
			return err
		}
		if !bytes.Equal(answer.Value, append([]byte("hello "), Payload(1000*i)...)) {
			return fmt.Errorf("answer %d is another", i)
		}
	}
	var none wrapperspb.BytesValue
	t.sayf("%d messages, then %v", messages, stream.RecvMsg(&none))
	return <-sent
}

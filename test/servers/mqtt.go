package servers

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

// queue is mochi-mqtt with the client of Eclipse Paho. An exchange is a message of QoS 1 to the
// client's own subscription.
func queue() Case {
	return Case{
		Name:  "mochi-mqtt",
		Serve: serveMQTT,
		Dial: func(addr string, _ *x509.Certificate) (Client, error) {
			c, err := mqttDial(addr, nil)
			if err != nil {
				return nil, err
			}
			topic := "own/" + c.name
			came, err := c.subscribe(topic, 1)
			if err != nil {
				return nil, err
			}
			return client{
				exchange: func(payload []byte) error {
					if err := c.publish(topic, 1, false, payload); err != nil {
						return err
					}
					got, err := next(came)
					if err != nil {
						return err
					}
					return same(payload, got)
				},
				close: c.close,
			}, nil
		},
		Talk: talkMQTT,
	}
}

func serveMQTT(l net.Listener, _ tls.Certificate) func() error {
	server := mqtt.New(&mqtt.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	failed := func(err error) func() error {
		return func() error { return errors.Join(err, l.Close()) }
	}
	if err := server.AddHook(new(auth.AllowHook), nil); err != nil {
		return failed(err)
	}
	if err := server.AddListener(listeners.NewNet("l", l)); err != nil {
		return failed(err)
	}
	if err := server.Serve(); err != nil {
		return failed(err)
	}
	return func() error {
		// Its Close takes a read lock twice, and waits for ever if a client ends in between.
		for began := time.Now(); server.Clients.Len() > 0 && time.Since(began) < Timeout; {
			time.Sleep(time.Millisecond)
		}
		return server.Close()
	}
}

// mqttClient is a client of Paho with waits that end.
type mqttClient struct {
	paho.Client
	name string
}

// mqttDial connects. will, if any, is the last will on topic "will".
func mqttDial(addr string, will []byte) (*mqttClient, error) {
	name := fmt.Sprint("c", time.Now().UnixNano())
	o := paho.NewClientOptions().AddBroker("tcp://" + addr).SetClientID(name)
	o.SetAutoReconnect(false).SetConnectTimeout(Timeout).SetOrderMatters(true)
	if will != nil {
		o.SetBinaryWill("will", will, 1, false)
	}
	c := &mqttClient{paho.NewClient(o), name}
	return c, done(c.Connect())
}

// done waits for the broker's answer.
func done(token paho.Token) error {
	if !token.WaitTimeout(Timeout) {
		return errors.New("the broker did not answer")
	}
	return token.Error()
}

func (c *mqttClient) subscribe(topic string, qos byte) (<-chan []byte, error) {
	came := make(chan []byte, 1000)
	return came, done(c.Subscribe(topic, qos, func(_ paho.Client, m paho.Message) { came <- m.Payload() }))
}

func (c *mqttClient) publish(topic string, qos byte, retained bool, payload []byte) error {
	return done(c.Publish(topic, qos, retained, payload))
}

func (c *mqttClient) close() error {
	c.Disconnect(250)
	return nil
}

func next(came <-chan []byte) ([]byte, error) {
	select {
	case m := <-came:
		return m, nil
	case <-time.After(Timeout):
		return nil, errors.New("no message came")
	}
}

func talkMQTT(addr string, _ *x509.Certificate) ([]string, error) {
	t := &talk{}
	var publisher, subscriber *mqttClient
	t.step("connect", func() (err error) {
		if publisher, err = mqttDial(addr, nil); err == nil {
			subscriber, err = mqttDial(addr, nil)
		}
		return err
	})
	if t.err != nil {
		return t.result()
	}
	defer func() { _ = publisher.close(); _ = subscriber.close() }()
	var all <-chan []byte
	t.step("subscribe", func() (err error) {
		all, err = subscriber.subscribe("a/#", 2)
		return err
	})
	for qos := range byte(3) {
		for _, size := range []int{0, 10, 1 << 20} {
			t.step("publish", func() error {
				if err := publisher.publish("a/b", qos, false, Payload(size)); err != nil {
					return err
				}
				got, err := next(all)
				t.sayf("QoS %d: %d bytes, the same %v", qos, size, bytes.Equal(got, Payload(size)))
				return err
			})
		}
	}
	t.step("many in a row", func() error {
		for i := range 500 {
			publisher.Publish("a/c", 1, false, fmt.Sprint(i))
		}
		for i := range 500 {
			got, err := next(all)
			if err != nil {
				return err
			}
			if string(got) != fmt.Sprint(i) {
				return fmt.Errorf("%s came in place of %d", got, i)
			}
		}
		return nil
	})
	t.step("a retained message", func() error {
		if err := publisher.publish("kept", 1, true, []byte("here")); err != nil {
			return err
		}
		came, err := subscriber.subscribe("kept", 1)
		if err != nil {
			return err
		}
		got, err := next(came)
		t.sayf("kept: %s", got)
		return err
	})
	t.step("a last will", func() error { return t.lastWill(addr, subscriber) })
	return t.result()
}

// lastWill has a client with a will end without a DISCONNECT: its connection is reset.
func (t *talk) lastWill(addr string, subscriber *mqttClient) error {
	came, err := subscriber.subscribe("will", 1)
	if err != nil {
		return err
	}
	c, err := dial(addr)
	if err != nil {
		return err
	}
	// CONNECT of MQTT 3.1.1: a clean session with a will of QoS 0, client "w".
	connect := []byte("\x10\x18\x00\x04MQTT\x04\x06\x00\x3c\x00\x01w\x00\x04will\x00\x03end")
	if _, err := c.Write(connect); err != nil {
		return err
	}
	acknowledged := make([]byte, 4)
	if _, err := io.ReadFull(c, acknowledged); err != nil {
		return err
	}
	t.sayf("CONNACK %x", acknowledged)
	if err := errors.Join(c.SetLinger(0), c.Close()); err != nil {
		return err
	}
	got, err := next(came)
	t.sayf("the will: %s", got)
	return err
}

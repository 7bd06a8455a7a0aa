package session

// Client is the client's side of a session. It is plain data with methods, for one goroutine at a
// time. A client that is to survive its own restart keeps the Client.
type Client struct {
	Token string
	Epoch uint64
	Log   Log
}

// NewClient returns the side of a client that was welcomed by Open. After a TakeOver it would begin
// with numbers that the server has handled: see NewClientAfter.
func NewClient(welcome Welcome, limits Limits) *Client {
	return &Client{Token: welcome.Token, Epoch: welcome.Epoch, Log: Log{Capacity: limits}}
}

// NewClientAfter returns the side of a client whose session was handed to it by a TakeOver: another
// device had the conversation before. Of the server's messages it gets those that were not
// acknowledged; they are in resumed.Again, and those in resumed.Lost are lost. Its own messages
// begin behind those that the server has handled: what the other device has sent besides is that
// device's.
func NewClientAfter(welcome Welcome, resumed Resumed, limits Limits) *Client {
	return &Client{Token: welcome.Token, Epoch: resumed.Epoch, Log: Log{
		Capacity: limits, Sent: resumed.Handled, Acked: resumed.Handled, Handled: max(resumed.Acked, resumed.Lost.To),
	}}
}

// Send numbers a message for the server and keeps it until it is acknowledged. Without a connection
// it is sent after the next resume. The error is ErrLogFull or ErrTooLarge.
func (c *Client) Send(data []byte) (Message, error) { return c.Log.send(data) }

// Acknowledge takes note that the server has handled our messages up to number. The error is
// ErrFuture.
func (c *Client) Acknowledge(number uint64) error { return c.Log.acknowledge(number) }

// Receive takes the number of a message of the server's. It returns false for one that was handled
// before. The client then acknowledges the number, in both cases. The error is ErrGap.
func (c *Client) Receive(number uint64) (fresh bool, err error) { return c.Log.receive(number) }

// Handled is the last number of the server's that was handled: what a resume presents, with Token
// and Epoch.
func (c *Client) Handled() uint64 { return c.Log.Handled }

// Resumed takes the server's answer to a resume. It returns what to send again, before anything
// else, and which of our messages are lost: the server has forgotten that it had handled them. If
// there are any, the server is told to Skip them. The error is ErrFuture where the server has
// handled more than this client has sent, as after a duplicate login: the client cannot go on with
// this session.
func (c *Client) Resumed(answer Resumed) (again []Message, lost Range, err error) {
	again, lost, err = c.Log.resume(answer.Handled)
	if err != nil {
		return nil, Range{}, err
	}
	c.Log.skip(answer.Lost.To)
	c.Epoch = answer.Epoch
	return again, lost, nil
}

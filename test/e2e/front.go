package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// helloTime bounds the first message of a client, and the way to the cloud.
const helloTime = 10 * time.Second

// front is where pods find the hosts of the cloud, all of whose names are the node's address: it passes connections on by the name in their
// TLS greeting (RFC 6066, section 3) to the proxy of the emulator.
type front struct {
	listener net.Listener
	proxy    string
	mu       sync.Mutex
	conns    map[net.Conn]struct{}
	running  sync.WaitGroup
}

func startFront(address, proxyURL string) (*front, error) {
	proxy, err := url.Parse(proxyURL)
	if err != nil {
		return nil, err
	}
	f := &front{proxy: proxy.Host, conns: make(map[net.Conn]struct{})}
	if f.listener, err = net.Listen("tcp", address); err != nil {
		return nil, fmt.Errorf("the cloud's front: %w", err)
	}
	f.running.Go(func() {
		for {
			conn, err := f.listener.Accept()
			if err != nil {
				return
			}
			f.running.Go(func() { f.serve(conn) })
		}
	})
	return f, nil
}

// close ends all connections.
func (f *front) close() error {
	err := f.listener.Close()
	f.mu.Lock()
	for conn := range f.conns {
		_ = conn.Close()
	}
	f.mu.Unlock()
	f.running.Wait()
	return err
}

func (f *front) keep(conns ...net.Conn) (leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range conns {
		f.conns[conn] = struct{}{}
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, conn := range conns {
			_ = conn.Close()
			delete(f.conns, conn)
		}
	}
}

func (f *front) serve(client net.Conn) {
	defer f.keep(client)()
	_ = client.SetDeadline(time.Now().Add(helloTime))
	name, greeting, err := serverName(client)
	if err != nil {
		return
	}
	cloud, err := net.DialTimeout("tcp", f.proxy, helloTime)
	if err != nil {
		return
	}
	defer f.keep(cloud)()
	_ = cloud.SetDeadline(time.Now().Add(helloTime))
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Host: name + ":443"}, Host: name + ":443"}
	if err := request.Write(cloud); err != nil {
		return
	}
	reader := bufio.NewReader(cloud)
	response, err := http.ReadResponse(reader, request)
	if err != nil || response.StatusCode != http.StatusOK {
		return
	}
	_, _ = client.SetDeadline(time.Time{}), cloud.SetDeadline(time.Time{})
	if _, err := cloud.Write(greeting); err != nil {
		return
	}
	f.running.Go(func() {
		_, _ = io.Copy(cloud, client)
		_ = cloud.Close()
	})
	_, _ = io.Copy(client, reader)
	_ = client.Close()
}

var errGreeted = errors.New("the greeting has been read")

// serverName returns the name that a client asks for, and all that has been read of what it sent.
func serverName(client net.Conn) (name string, read []byte, err error) {
	var buffer bytes.Buffer
	err = tls.Server(greeting{client, io.TeeReader(client, &buffer)}, &tls.Config{
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) { name = hello.ServerName; return nil, errGreeted },
	}).Handshake()
	if name == "" {
		return "", nil, fmt.Errorf("no server name in a TLS greeting: %w", err)
	}
	return name, buffer.Bytes(), nil
}

// greeting is a connection that is only read from.
type greeting struct {
	net.Conn
	reader io.Reader
}

func (g greeting) Read(p []byte) (int, error)  { return g.reader.Read(p) }
func (g greeting) Write(p []byte) (int, error) { return 0, net.ErrClosed }

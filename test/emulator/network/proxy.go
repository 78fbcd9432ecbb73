package network

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// dialTimeout bounds connecting to a listener in the same process.
const dialTimeout = 5 * time.Second

// serveProxy answers the proxy's clients: a tunnel to a host of the network (RFC 9110, section 9.3.6), or 502.
func (n *Network) serveProxy(w http.ResponseWriter, r *http.Request) {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	if r.Method != http.MethodConnect || port != "443" {
		n.refuse(w, host+" "+r.Method, fmt.Sprintf("the emulator serves https on port 443 only, not %s %s", r.Method, r.Host))
		return
	}
	e, err := n.Endpoint(host)
	if err != nil {
		n.refuse(w, host+" "+r.Method, err.Error())
		return
	}
	server, err := net.DialTimeout("tcp", e.address, dialTimeout)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = server.Close()
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if !n.enter(client, server) {
		_ = client.Close()
		_ = server.Close()
		return
	}
	defer n.leave(client, server)
	if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		end(err, client, server)
		return
	}
	tunnel(client, buffered.Reader, server)
}

func (n *Network) refuse(w http.ResponseWriter, what, why string) {
	n.mu.Lock()
	n.refused[what]++
	n.mu.Unlock()
	http.Error(w, why, http.StatusBadGateway)
}

// tunnel copies both ways until one side ends, and then ends the other in the same way: a reset passes through. fromClient
// holds what the client may have sent along with its CONNECT.
func tunnel(client net.Conn, fromClient *bufio.Reader, server net.Conn) {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, err := io.Copy(server, fromClient)
		end(err, client, server)
	}()
	_, err := io.Copy(client, server)
	end(err, client, server)
	<-sent
}

// end closes connections, with a TCP reset if err is not nil.
func end(err error, conns ...net.Conn) {
	for _, conn := range conns {
		if tcp, ok := conn.(*net.TCPConn); ok && err != nil {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
}

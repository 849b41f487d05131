// gorilla/websocket, client and server, told what to do on stdin; see ../README.md.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

var stdout sync.Mutex

// An end of a connection. Commands come one after the other; another goroutine reads.
type end struct {
	number   string
	listener net.Listener
	socket   *websocket.Conn
	opened   chan *websocket.Conn
}

func main() {
	key, certificate := os.Args[1], os.Args[2]
	tell("0", "peer", "gorilla", os.Getenv("GORILLA_VERSION"))
	ends := map[string]chan []string{}
	input := bufio.NewReaderSize(os.Stdin, 1<<16)
	for {
		line, err := input.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Fields(line)
		commands, known := ends[words[0]]
		if !known {
			commands = make(chan []string, 1000)
			ends[words[0]] = commands
			go work(&end{number: words[0], opened: make(chan *websocket.Conn, 1)}, commands, key, certificate)
		}
		commands <- words[1:]
	}
}

func work(e *end, commands chan []string, key string, certificate string) {
	for words := range commands {
		if err := e.perform(words, key, certificate); err != nil {
			tell(e.number, "failed", words[0], err.Error())
		}
	}
}

func (e *end) perform(words []string, key string, certificate string) error {
	switch words[0] {
	case "connect":
		return e.connect(words[1], names(words[2]), words[3] == "deflate", certificate)
	case "listen":
		return e.listen(words[1], names(words[2]), words[3] == "deflate", key, certificate)
	case "end":
		return e.listener.Close()
	}
	if e.socket == nil {
		e.socket = <-e.opened
	}
	switch words[0] {
	case "text":
		return e.socket.WriteMessage(websocket.TextMessage, bytesOf(words[1]))
	case "binary":
		return e.socket.WriteMessage(websocket.BinaryMessage, bytesOf(words[1]))
	case "ping":
		return e.socket.WriteControl(websocket.PingMessage, bytesOf(words[1]), time.Time{})
	case "close":
		code := websocket.CloseNoStatusReceived // Of which it makes an empty Close.
		if words[1] != "-" {
			code, _ = strconv.Atoi(words[1])
		}
		body := websocket.FormatCloseMessage(code, string(bytesOf(words[2])))
		return e.socket.WriteControl(websocket.CloseMessage, body, time.Time{})
	case "terminate":
		return e.socket.Close()
	}
	return errors.New("unknown")
}

func (e *end) connect(url string, protocols []string, deflate bool, certificate string) error {
	pem, err := os.ReadFile(certificate)
	if err != nil {
		return err
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(pem)
	dialer := websocket.Dialer{
		Subprotocols:      protocols,
		EnableCompression: deflate,
		TLSClientConfig:   &tls.Config{RootCAs: trusted},
	}
	socket, _, err := dialer.Dial(url, nil)
	if err == nil {
		e.begin(socket)
	}
	return err
}

func (e *end) listen(transport string, protocols []string, deflate bool, key string, certificate string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	e.listener = listener
	upgrader := websocket.Upgrader{Subprotocols: protocols, EnableCompression: deflate}
	handler := http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		if socket, err := upgrader.Upgrade(response, request, nil); err == nil {
			e.begin(socket)
		}
	})
	scheme := "ws"
	if transport == "TLS" {
		scheme = "wss"
		go http.ServeTLS(listener, handler, certificate, key)
	} else {
		go http.Serve(listener, handler)
	}
	tell(e.number, "listening", fmt.Sprintf("%s://%s/", scheme, listener.Addr()))
	return nil
}

func (e *end) begin(socket *websocket.Conn) {
	socket.SetPongHandler(func(payload string) error {
		tell(e.number, "pong", hexOf([]byte(payload)))
		return nil
	})
	tell(e.number, "open", orDash(socket.Subprotocol()))
	e.opened <- socket
	go e.read(socket)
}

func (e *end) read(socket *websocket.Conn) {
	for {
		kind, message, err := socket.ReadMessage()
		if err != nil {
			e.closed(socket, err)
			return
		}
		verb := "binary"
		if kind == websocket.TextMessage {
			verb = "text"
		}
		tell(e.number, verb, hexOf(message))
	}
}

// It has answered a Close by now; the end of TCP is left to the application.
func (e *end) closed(socket *websocket.Conn, err error) {
	code, reason, clean := websocket.CloseAbnormalClosure, "", "unclean"
	var close *websocket.CloseError
	if errors.As(err, &close) && close.Code != websocket.CloseAbnormalClosure {
		code, reason, clean = close.Code, close.Text, "clean"
	}
	socket.Close()
	tell(e.number, "closed", strconv.Itoa(code), hexOf([]byte(reason)), clean)
}

func tell(words ...string) {
	stdout.Lock()
	defer stdout.Unlock()
	io.WriteString(os.Stdout, strings.Join(words, " ")+"\n")
}

func names(word string) []string {
	if word == "-" {
		return nil
	}
	return strings.Split(word, ",")
}

func bytesOf(word string) []byte {
	if word == "-" {
		return nil
	}
	bytes, _ := hex.DecodeString(word)
	return bytes
}

func hexOf(bytes []byte) string {
	return orDash(hex.EncodeToString(bytes))
}

func orDash(word string) string {
	if word == "" {
		return "-"
	}
	return word
}

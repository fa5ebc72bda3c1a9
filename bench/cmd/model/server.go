package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// server is the Caddy that is held against the model.
type server struct {
	dir, address, admin string
	command             *exec.Cmd
	log                 *os.File
	// keep is true when the log is to stay.
	keep bool
}

// The heartbeat of the server.
const (
	pingInterval = 3 * time.Second
	pingTimeout  = 6 * time.Second
)

func startServer(binary string) (*server, error) {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return nil, err
	}
	s := &server{}
	if s.dir, err = os.MkdirTemp("", "model-"); err != nil {
		return nil, err
	}
	for _, address := range []*string{&s.address, &s.admin} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		*address = listener.Addr().String()
		_ = listener.Close()
	}
	if s.log, err = os.Create(filepath.Join(s.dir, "caddy.log")); err != nil {
		return nil, err
	}
	file := filepath.Join(s.dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(s.config(0)), 0o600); err != nil {
		return nil, err
	}
	s.command = exec.Command(binary, "run", "--adapter", "caddyfile", "--config", file)
	s.command.Env = append(os.Environ(), "HOME="+s.dir, "XDG_CONFIG_HOME="+s.dir, "XDG_DATA_HOME="+s.dir)
	s.command.Dir, s.command.Stdout, s.command.Stderr = s.dir, s.log, s.log
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err = s.goroutines(); err == nil {
			if conn, dialled := net.Dial("tcp", s.address); dialled == nil {
				return s, conn.Close()
			}
		}
		if time.Now().After(limit) {
			words := s.lastWords()
			s.stop()
			return nil, fmt.Errorf("the server does not answer: %s", words)
		}
	}
}

// config is the Caddyfile of a generation. Each differs from the one before in an option.
func (s *server) config(generation int) string {
	return fmt.Sprintf(`{
	admin %s
	persist_config off
	auto_https off
	default_bind 127.0.0.1
	log {
		level INFO
	}
}
http://%s {
	socketio_stream {
		hub model
		ping_interval %v
		ping_timeout %v
		max_connections %d
		handshake_rate off
		namespace / {
			events echo
		}
	}
}
`, s.admin, s.address, pingInterval, pingTimeout, 100_000+generation%2)
}

func (s *server) stop() {
	_ = s.command.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(30*time.Second, func() { _ = s.command.Process.Kill() })
	_ = s.command.Wait()
	timer.Stop()
	_ = s.log.Close()
	if s.keep {
		fmt.Println("the log of Caddy stays in", s.log.Name())
		return
	}
	_ = os.RemoveAll(s.dir)
}

func (s *server) ask(method, path, body string) (string, error) {
	request, err := http.NewRequest(method, "http://"+s.admin+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "text/caddyfile")
	// A reload replaces the admin endpoint as well: each request has a connection of its own.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %s: %s", response.Status, answer)
	}
	return string(answer), err
}

func (s *server) reload(generation int) error {
	_, err := s.ask(http.MethodPost, "/load", s.config(generation))
	return err
}

var goroutineTotal = regexp.MustCompile(`goroutine profile: total (\d+)`)

func (s *server) goroutines() (int, error) {
	text, err := s.ask(http.MethodGet, "/debug/pprof/goroutine?debug=1", "")
	if err != nil {
		return 0, err
	}
	found := goroutineTotal.FindStringSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("the profile does not tell how many goroutines there are")
	}
	return strconv.Atoi(found[1])
}

// faults returns lines of the log that tell of a panic or of a data race.
func (s *server) faults() string {
	content, _ := os.ReadFile(s.log.Name())
	var lines []string
	for line := range strings.Lines(string(content)) {
		if strings.Contains(line, "panic") || strings.Contains(line, "DATA RACE") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[:min(len(lines), 10)], "")
}

func (s *server) lastWords() string {
	content, _ := os.ReadFile(s.log.Name())
	return string(content[max(0, len(content)-2000):])
}

// proxy stands between clients and the server, and cuts their connections.
type proxy struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	conns map[string][2]net.Conn
}

func newProxy(to string) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: listener, to: to, conns: make(map[string][2]net.Conn)}
	go p.serve()
	return p, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) close() { _ = p.listener.Close() }

func (p *proxy) serve() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.pass(conn)
	}
}

// pass copies in both directions until one side has ended.
func (p *proxy) pass(client net.Conn) {
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		_ = client.Close()
		return
	}
	name := client.RemoteAddr().String()
	p.mu.Lock()
	p.conns[name] = [2]net.Conn{client, server}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.conns, name)
		p.mu.Unlock()
	}()
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(server, client); _ = server.(*net.TCPConn).CloseWrite() })
	_, _ = io.Copy(client, server)
	_ = client.Close()
	_ = server.Close()
	both.Wait()
}

// cut resets the connection of a client that has the address.
func (p *proxy) cut(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns[address] {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
			_ = tcp.Close()
		}
	}
}

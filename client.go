package socketiostream

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// The values of serve_client that are no folder.
const (
	serveClientCDN = "cdn"
	serveClientOff = "off"
)

// clientCDN is where the official client files are, at one version of the 4.8 line that this server speaks with.
const clientCDN = "https://cdn.socket.io/4.8.1/"

// clientFiles are the files a Socket.IO server serves of the browser client.
var clientFiles = map[string]bool{
	"socket.io.js":                 true,
	"socket.io.js.map":             true,
	"socket.io.min.js":             true,
	"socket.io.min.js.map":         true,
	"socket.io.msgpack.min.js":     true,
	"socket.io.msgpack.min.js.map": true,
	"socket.io.esm.min.js":         true,
	"socket.io.esm.min.js.map":     true,
}

// checkClientFolder refuses a serve_client folder that holds no client.
func checkClientFolder(serveClient string) error {
	if serveClient == serveClientCDN || serveClient == serveClientOff {
		return nil
	}
	info, err := os.Stat(serveClient)
	if err != nil {
		return fmt.Errorf("serve_client %q is neither cdn nor off, nor a folder that can be read: %w", serveClient, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("serve_client %q is neither cdn nor off, nor a folder", serveClient)
	}
	for _, name := range []string{"socket.io.js", "socket.io.min.js"} {
		if file, err := os.OpenInRoot(serveClient, name); err == nil {
			return file.Close()
		}
	}
	return fmt.Errorf("serve_client %q holds no socket.io.js: it must be the dist folder of the npm package socket.io-client",
		serveClient)
}

// serveClientFile answers for one of clientFiles.
func (h *Handler) serveClientFile(w http.ResponseWriter, r *http.Request, name string) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return methodNotAllowed(w, r)
	}
	if h.settings.serveClient == serveClientCDN {
		http.Redirect(w, r, clientCDN+name, http.StatusFound)
		return nil
	}
	// Opening within a root keeps links in the folder from leading out of it.
	file, err := os.OpenInRoot(h.settings.serveClient, name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return caddyhttp.Error(http.StatusNotFound, err)
		}
		return caddyhttp.Error(http.StatusInternalServerError, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return caddyhttp.Error(http.StatusInternalServerError, err)
	}
	if !info.Mode().IsRegular() {
		return caddyhttp.Error(http.StatusNotFound, fmt.Errorf("%s is no regular file", name))
	}
	header := w.Header()
	header.Set("Content-Type", "text/javascript; charset=utf-8")
	if strings.HasSuffix(name, ".map") {
		header.Set("Content-Type", "application/json")
	}
	header.Set("Cache-Control", "public, max-age=0")
	header.Set("Etag", `"`+strconv.FormatInt(info.ModTime().UnixNano(), 36)+"-"+strconv.FormatInt(info.Size(), 36)+`"`)
	http.ServeContent(w, r, name, info.ModTime(), file)
	return nil
}

// methodNotAllowed refuses every method but those that read.
func methodNotAllowed(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Allow", "GET, HEAD")
	return caddyhttp.Error(http.StatusMethodNotAllowed, fmt.Errorf("%s is not allowed here", r.Method))
}

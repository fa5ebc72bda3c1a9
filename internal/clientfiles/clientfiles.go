// Package clientfiles serves the files of the browser client, or says where they are.
package clientfiles

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

// The values that are no folder.
const (
	// CDN redirects to the official CDN.
	CDN Files = "cdn"
	// Off serves nothing.
	Off Files = "off"
)

// cdn is where the official client files are, at one version of the 4.8 line that this server
// speaks with.
const cdn = "https://cdn.socket.io/4.8.1/"

// names are the files a Socket.IO server serves of the browser client.
var names = map[string]bool{
	"socket.io.js":                 true,
	"socket.io.js.map":             true,
	"socket.io.min.js":             true,
	"socket.io.min.js.map":         true,
	"socket.io.msgpack.min.js":     true,
	"socket.io.msgpack.min.js.map": true,
	"socket.io.esm.min.js":         true,
	"socket.io.esm.min.js.map":     true,
}

// Files is where the browser client's files come from: the CDN, nowhere, or a folder. It is the value of
// the option serve_client.
type Files string

// Check refuses a folder that holds no client.
func (c Files) Check() error {
	if c == CDN || c == Off {
		return nil
	}
	folder := string(c)
	info, err := os.Stat(folder)
	if err != nil {
		return fmt.Errorf("serve_client %q is neither cdn nor off, nor a folder that can be read: %w", folder, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("serve_client %q is neither cdn nor off, nor a folder", folder)
	}
	for _, name := range []string{"socket.io.js", "socket.io.min.js"} {
		if file, err := os.OpenInRoot(folder, name); err == nil {
			return file.Close()
		}
	}
	return fmt.Errorf("serve_client %q holds no socket.io.js: "+
		"it must be the dist folder of the npm package socket.io-client", folder)
}

// Has reports whether name is one of the files that are served.
func (c Files) Has(name string) bool { return c != Off && names[name] }

// Serve answers a GET or HEAD for a file that it has.
func (c Files) Serve(w http.ResponseWriter, r *http.Request, name string) error {
	if c == CDN {
		http.Redirect(w, r, cdn+name, http.StatusFound)
		return nil
	}
	// Opening within a root keeps links in the folder from leading out of it.
	file, err := os.OpenInRoot(string(c), name)
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

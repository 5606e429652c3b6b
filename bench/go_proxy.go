// The Go standard library's reverse proxy with a tap that reads every `data:` line of an answer and
// decodes those that have usage. It records nothing.
//
//	go run bench/go_proxy.go PORT UPSTREAM_PORT
package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync/atomic"
)

var outputTokens atomic.Int64

// tap splits what passes into lines. It keeps the unfinished one.
type tap struct {
	io.ReadCloser
	line []byte
}

func (t *tap) Read(into []byte) (int, error) {
	count, err := t.ReadCloser.Read(into)
	rest := into[:count]
	for {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			t.line = append(t.line, rest...)
			return count, err
		}
		if len(t.line) == 0 {
			look(rest[:end])
		} else {
			t.line = append(t.line, rest[:end]...)
			look(t.line)
			t.line = t.line[:0]
		}
		rest = rest[end+1:]
	}
}

func look(line []byte) {
	const prefix = "data: "
	if !bytes.HasPrefix(line, []byte(prefix)) || !bytes.Contains(line, []byte(`"usage"`)) {
		return
	}
	var event struct {
		Usage struct {
			OutputTokens int64 `json:"output_tokens"`
		} `json:"usage"`
	}
	if json.Unmarshal(line[len(prefix):], &event) == nil {
		outputTokens.Add(event.Usage.OutputTokens)
	}
}

func main() {
	upstream, err := url.Parse("http://127.0.0.1:" + os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(upstream)
	proxy.FlushInterval = -1
	proxy.Transport = &http.Transport{MaxIdleConns: 0, MaxIdleConnsPerHost: 2048, DisableCompression: true}
	proxy.ModifyResponse = func(response *http.Response) error {
		response.Body = &tap{ReadCloser: response.Body}
		return nil
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], proxy))
}

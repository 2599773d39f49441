// An HTTPS client and server with Go's crypto/tls.
//
// https serve PORT CERT KEY [P-384]		print "ready", serve until killed
// https get PORT VERSION full|resumed PATH...	a connection for each path
package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
)

var versions = map[string]uint16{
	"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13,
}

// keyLog is the file that SSLKEYLOGFILE names, which Go itself does not know.
func keyLog() io.Writer {
	name := os.Getenv("SSLKEYLOGFILE")
	if name == "" {
		return nil
	}
	file, err := os.OpenFile(name,
		os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0600)
	if err != nil {
		log.Fatal(err)
	}
	return file
}

func serve(port, cert, key string, group []string) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		log.Fatal(err)
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{pair}, KeyLogWriter: keyLog(),
	}
	if len(group) > 0 {
		config.CurvePreferences = []tls.CurveID{tls.CurveP384}
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:"+port, config)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("ready")
	log.Fatal(http.Serve(listener, http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(w, "page")
		})))
}

func get(port, version, mode string, paths []string) {
	config := &tls.Config{
		InsecureSkipVerify: true, KeyLogWriter: keyLog(),
		MinVersion: versions[version], MaxVersion: versions[version],
	}
	if mode == "resumed" {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(10)
	}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: config, DisableKeepAlives: true,
	}}
	for _, path := range paths {
		response, err := client.Get("https://127.0.0.1:" + port + path)
		if err != nil {
			log.Fatal(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
}

func main() {
	args := os.Args[1:]
	if args[0] == "serve" {
		serve(args[1], args[2], args[3], args[4:])
	} else {
		get(args[1], args[2], args[3], args[4:])
	}
}

// Publishes as Go's net/http does. Lines of: way, URL, media type, body in base64, each behind a tab. Answers: status, body in base64.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	client := &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{ExpectContinueTimeout: 10 * time.Second},
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		job := strings.Split(lines.Text(), "\t")
		body, _ := base64.StdEncoding.DecodeString(job[3])
		var reader io.Reader = bytes.NewReader(body) // whose length it knows
		if job[0] == "chunked" {
			reader = io.MultiReader(bytes.NewReader(body[:3]), bytes.NewReader(body[3:]))
		}
		request, _ := http.NewRequest("POST", job[1], reader)
		request.Header.Set("Content-Type", job[2])
		if job[0] == "expect" {
			request.Header.Set("Expect", "100-continue")
		}
		response, err := client.Do(request)
		if err != nil {
			fmt.Printf("0\t%s\n", base64.StdEncoding.EncodeToString([]byte(err.Error())))
			continue
		}
		answer, _ := io.ReadAll(response.Body)
		response.Body.Close()
		fmt.Printf("%d\t%s\n", response.StatusCode, base64.StdEncoding.EncodeToString(answer))
	}
}

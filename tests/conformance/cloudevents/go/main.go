// Publishes with the official Go SDK in every mode, and reads back what the channel has:
// go run . URL CHANNEL. Prints the events as the SDK understands them.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func event(id string) cloudevents.Event {
	found := cloudevents.NewEvent()
	found.SetID(id)
	found.SetSource("/go")
	found.SetType("com.example.go")
	found.SetSubject("a b")
	return found
}

func main() {
	address := os.Args[1] + "/v1/channels/" + os.Args[2]
	client, err := cloudevents.NewClientHTTP(cloudevents.WithTarget(address))
	must(err)
	publish := func(ctx context.Context, found cloudevents.Event) {
		if result := client.Send(ctx, found); !cloudevents.IsACK(result) {
			must(fmt.Errorf("not accepted: %w", result))
		}
	}
	first := event("1")
	first.SetExtension("myext", "caf\u00e9")
	must(first.SetData(cloudevents.ApplicationJSON, map[string]int{"a": 1}))
	publish(binding.WithForceBinary(context.Background()), first)
	second := event("2")
	second.SetExtension("number", 7)
	must(second.SetData("text/xml", "<a/>"))
	publish(binding.WithForceStructured(context.Background()), second)
	third := event("3")
	must(third.SetData("image/png", []byte{255, 0}))
	publish(binding.WithForceStructured(context.Background()), third)

	request, err := http.NewRequest("GET", address, nil)
	must(err)
	request.Header.Set("Accept", "application/cloudevents+json")
	answer, err := http.DefaultClient.Do(request)
	must(err)
	body, err := io.ReadAll(answer.Body)
	must(err)
	var events []cloudevents.Event
	must(json.Unmarshal(body, &events))
	for _, found := range events {
		must(found.Validate())
		text, _ := json.Marshal([]any{
			found.ID(), found.Type(), found.Subject(), found.Extensions()["myext"],
			found.Extensions()["number"], string(found.Data()), found.DataContentType(),
		})
		fmt.Println(string(text))
	}
}

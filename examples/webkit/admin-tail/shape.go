package main

// shape.go: the part of the Shape API that a reader needs: first all rows by ordinary requests, then
// server-sent events, from wherever it was when a connection ended.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Message is a change of a row, or a control message, which has no Key.
type Message struct {
	Key     string
	Value   map[string]*string // as PostgreSQL writes them; nil is NULL
	Headers struct {
		Operation string // insert, update, delete
		Control   string // up-to-date, must-refetch, snapshot-end
		LSN       string `json:"lsn"`
		LastSeen  string `json:"global_last_seen_lsn"`
	}
}

// Reader follows one shape. Its methods are called by one goroutine.
type Reader struct {
	// Base is Busbar's address without a path.
	Base string
	// Query names the shape: table, where, columns, secret.
	Query url.Values
	// OnChanges gets what belongs together: the first rows, then whole transactions. It is told
	// whether these are rows that were there before.
	OnChanges func(changes []Message, isSnapshot bool)
	// OnReset says that the shape begins anew; all rows come once more.
	OnReset func()
	// OnTrouble is told why a request failed, before it is tried again.
	OnTrouble func(error)

	handle, offset, cursor string
	snapshot               []Message // what has come of the first rows
	isLive                 bool
}

var errReset = errors.New("the shape begins anew")

// A fault of the request itself: asking again would bring the same answer.
type fatalError struct{ error }

// Follow returns only when the context ends, or when Busbar says that the request itself is wrong.
func (r *Reader) Follow(ctx context.Context) error {
	r.reset("")
	const shortest, longest = 200 * time.Millisecond, 10 * time.Second
	pause := shortest
	for {
		begun := time.Now()
		err := r.step(ctx)
		var fatal fatalError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &fatal):
			return fatal.error
		case errors.Is(err, errReset):
			r.OnReset()
			continue
		case err == nil || time.Since(begun) > time.Second:
			pause = shortest // A stream that lasted is not a failure, whatever ended it.
		}
		if err == nil {
			continue
		}
		r.OnTrouble(err)
		// Not all readers at once, and each time later.
		wait := pause/2 + time.Duration(rand.Int63n(int64(pause)))
		if pause *= 2; pause > longest {
			pause = longest
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

func (r *Reader) reset(handle string) {
	r.handle, r.offset, r.cursor, r.isLive, r.snapshot = handle, "-1", "", false, nil
}

// step makes one request and takes its answer.
func (r *Reader) step(ctx context.Context) error {
	query := url.Values{}
	for name, values := range r.Query {
		query[name] = values
	}
	query.Set("offset", r.offset)
	if r.handle != "" {
		query.Set("handle", r.handle)
	}
	if r.isLive {
		query.Set("live", "true")
		query.Set("live_sse", "true")
		query.Set("cursor", r.cursor)
	}
	// A stream lives for a minute; what takes much longer hangs.
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Base+"/v1/shape?"+query.Encode(), nil)
	if err != nil {
		return fatalError{err}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return redacted(err)
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusConflict:
		r.reset(response.Header.Get("electric-handle"))
		return errReset
	case response.StatusCode == http.StatusTooManyRequests || response.StatusCode >= 500:
		return fmt.Errorf("HTTP %d", response.StatusCode)
	case response.StatusCode != http.StatusOK:
		said, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
		return fatalError{fmt.Errorf("HTTP %d: %s", response.StatusCode, bytes.TrimSpace(said))}
	}
	r.handle = response.Header.Get("electric-handle")
	r.cursor = response.Header.Get("electric-cursor")
	if r.isLive {
		return r.readEvents(response.Body)
	}
	var messages []Message
	if err := json.NewDecoder(response.Body).Decode(&messages); err != nil {
		return err
	}
	r.offset = response.Header.Get("electric-offset")
	for _, message := range messages {
		if message.Key != "" {
			r.snapshot = append(r.snapshot, message)
		}
	}
	if _, r.isLive = response.Header[http.CanonicalHeaderKey("electric-up-to-date")]; r.isLive {
		r.OnChanges(r.snapshot, true)
		r.snapshot = nil
	}
	return nil
}

// readEvents takes events until the stream ends. Changes count once the up-to-date after them has
// come: only then is the place in the log moved, so that a broken stream repeats and loses nothing.
func (r *Reader) readEvents(body io.Reader) error {
	lines := bufio.NewReader(body)
	var changes []Message
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil // The end of its minute.
			}
			return redacted(err)
		}
		const prefix = "data: "
		if !strings.HasPrefix(line, prefix) {
			continue // A comment, or the empty line after an event.
		}
		var message Message
		if err := json.Unmarshal([]byte(line[len(prefix):]), &message); err != nil {
			return err
		}
		if message.Key != "" {
			changes = append(changes, message)
		} else if message.Headers.Control == "up-to-date" {
			if fresh := r.unseen(changes); len(fresh) > 0 {
				r.OnChanges(fresh, false)
			}
			changes = nil
			r.offset = message.Headers.LastSeen + "_0"
		}
	}
}

// unseen drops what a stream repeats: it goes on from the first entry of the last transaction.
func (r *Reader) unseen(changes []Message) []Message {
	last, _, _ := strings.Cut(r.offset, "_")
	for len(changes) > 0 && changes[0].Headers.LSN == last {
		changes = changes[1:]
	}
	return changes
}

// redacted keeps the address, which has the secret in it, out of messages.
func redacted(err error) error {
	var about *url.Error
	if errors.As(err, &about) {
		return about.Err
	}
	return err
}

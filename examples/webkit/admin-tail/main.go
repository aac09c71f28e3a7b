// Command admin-tail follows the activity of all agencies and writes a line for each entry, as the
// admin panel would. It needs Go's standard library and Busbar, and no message broker: what it missed
// while it was away is told when it is back.
//
//	BUSBAR_SECRET=… admin-tail -busbar http://127.0.0.1:3000
//
// It runs beside Busbar, behind the same firewall, and so it may know the secret and see all agencies.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/url"
	"os"
	"os/signal"
	"sort"
	"syscall"
)

func main() {
	log.SetFlags(log.Ltime)
	base := flag.String("busbar", "http://127.0.0.1:3000", "Busbar's address")
	agency := flag.String("agency", "", "follow only the agency with this id")
	history := flag.Int("history", 10, "how many entries from before to show first")
	flag.Parse()

	query := url.Values{"table": {"activity"}}
	if *agency != "" {
		query.Set("where", "agency_id = $1")
		query.Set("params[1]", *agency)
	}
	if secret := os.Getenv("BUSBAR_SECRET"); secret != "" {
		query.Set("secret", secret)
	}
	reader := &Reader{
		Base:  *base,
		Query: query,
		OnChanges: func(changes []Message, isSnapshot bool) {
			if isSnapshot {
				sort.Slice(changes, func(i, j int) bool {
					return text(changes[i], "created_at") < text(changes[j], "created_at")
				})
				log.Printf("%d entries so far, following", len(changes))
				if len(changes) > *history {
					changes = changes[len(changes)-*history:]
				}
			}
			for _, change := range changes {
				if change.Headers.Operation == "insert" {
					fmt.Println(describe(change))
				}
			}
		},
		OnReset:   func() { log.Print("the log was begun anew; reading it again") },
		OnTrouble: func(err error) { log.Printf("waiting for Busbar: %v", err) },
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := reader.Follow(ctx); err != nil && !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
}

func text(message Message, column string) string {
	if value := message.Value[column]; value != nil {
		return *value
	}
	return ""
}

func describe(entry Message) string {
	return fmt.Sprintf("%.19s  %-8.8s  %-6s  %s %s %s “%s”", text(entry, "created_at"), text(entry, "agency_id"),
		text(entry, "actor_kind"), text(entry, "actor_name"), text(entry, "verb"), text(entry, "subject_kind"),
		text(entry, "subject_label"))
}

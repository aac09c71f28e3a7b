module busbar.dev/examples/webkit/admin-tail

go 1.19

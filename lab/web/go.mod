module firedrill.example/lab/web

go 1.24

upstream shop {
    server 127.0.0.1:3000;
    keepalive 16;
}

server {
    listen 80;
    server_name shop.example.com www.shop.example.com;
    return 301 https://shop.example.com$request_uri;
}

server {
    listen 443 ssl;
    server_name shop.example.com;
    ssl_certificate /etc/ssl/shop/shop.crt;
    ssl_certificate_key /etc/ssl/shop/shop.key;

    location ^~ /socket.io {
        include snippets/proxy.conf;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_pass http://shop;
    }

    location /static/ {
        alias /srv/shop/static/;
        expires 30d;
        add_header Cache-Control "public, immutable";
        access_log off;
    }

    location / {
        include snippets/proxy.conf;
        client_max_body_size 2m;
        proxy_pass http://shop;
        proxy_read_timeout 90;
    }
}

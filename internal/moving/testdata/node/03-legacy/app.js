#!/usr/bin/env node
var app = require('express')();
var http = require('http').Server(app);
var io = require('socket.io')(http, { pingTimeout: 30000, cookie: false, origins: '*:*' });
io.sockets.on('connection', function (socket) {
  socket.on('message', function (msg) { socket.broadcast.emit('message', msg); });
});
http.listen(process.env.PORT || 3000, function () { console.log('listening'); });

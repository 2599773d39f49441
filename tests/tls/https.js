// An HTTPS client and server with Node's https module.
//
// https.js serve PORT CERT KEY [GROUP]		print "ready", serve until killed
// https.js get PORT VERSION full|resumed PATH...	a connection for each path
'use strict';
const https = require('https');
const fs = require('fs');

function serve(port, cert, key, group) {
	https.createServer({
		cert: fs.readFileSync(cert), key: fs.readFileSync(key),
		ecdhCurve: group || 'auto',
	}, (request, response) => {
		response.setHeader('Connection', 'close');
		response.end('page\n');
	}).listen(port, '127.0.0.1', () => console.log('ready'));
}

// An agent that keeps no connection, but does or does not keep sessions.
function get(port, version, mode, paths) {
	const agent = new https.Agent({
		keepAlive: false, maxCachedSessions: mode === 'resumed' ? 10 : 0,
	});
	const next = () => {
		const path = paths.shift();
		if (path === undefined)
			return;
		https.get({
			host: '127.0.0.1', port, path, agent, servername: '',
			rejectUnauthorized: false,
			minVersion: 'TLSv' + version, maxVersion: 'TLSv' + version,
		}, (response) => {
			response.resume();
			response.on('close', next);
		});
	};
	next();
}

const [command, port, ...rest] = process.argv.slice(2);
if (command === 'serve')
	serve(port, ...rest);
else
	get(port, rest[0], rest[1], rest.slice(2));

// Listens to both hubs with Microsoft's own client and prints what it hears, one JSON object per line, until it is told
// to stop on its standard input. Usage: node listen.js USER_HUB MARKET_HUB TOKEN ACCOUNT_ID CONTRACT_ID OPTIONS
import { createInterface } from "node:readline";
import { HubConnectionBuilder, HttpTransportType, LogLevel } from "@microsoft/signalr";

const [userHub, marketHub, token, accountId, contractId, optionsText] = process.argv.slice(2);
const options = JSON.parse(optionsText);
const HUBS = {
  user: {
    url: userHub,
    events: ["GatewayUserAccount", "GatewayUserOrder", "GatewayUserPosition", "GatewayUserTrade", "GatewayLogout"],
    calls: [["SubscribeAccounts"], ...["Orders", "Positions", "Trades"].map((name) => [`Subscribe${name}`, +accountId])],
  },
  market: {
    url: marketHub,
    events: ["GatewayQuote", "GatewayTrade", "GatewayLogout"],
    calls: [["SubscribeContractQuotes", contractId], ["SubscribeContractTrades", contractId]],
  },
};

const say = (step, hub, more = {}) => console.log(JSON.stringify({ step, hub, ...more }));

function build(hub, { url, events, calls }) {
  const http = { accessTokenFactory: () => token, timeout: 10000 };
  if (options.skip) Object.assign(http, { skipNegotiation: true, transport: HttpTransportType.WebSockets });
  const builder = new HubConnectionBuilder().withUrl(`${url}?access_token=${token}`, http);
  builder.configureLogging(LogLevel.None);
  const connection = (options.delaysMs ? builder.withAutomaticReconnect(options.delaysMs) : builder.withAutomaticReconnect()).build();
  if (options.silenceMs) connection.serverTimeoutInMilliseconds = options.silenceMs;
  for (const name of events) connection.on(name, (...heard) => say("event", hub, { name, arguments: heard }));
  const subscribe = async () => {
    try {
      const answers = [];
      for (const [method, ...values] of calls) answers.push(await connection.invoke(method, ...values));
      say("subscribed", hub, { answers, connectionId: connection.connectionId });
    } catch (error) {
      say("interrupted", hub, { error: error.message });
    }
  };
  connection.onreconnecting((error) => say("lost", hub, { error: error?.message }));
  connection.onreconnected(subscribe);
  connection.onclose((error) => say("closed", hub, { error: error?.message }));
  return { connection, subscribe };
}

const hubs = Object.entries(HUBS).map(([hub, definition]) => ({ hub, ...build(hub, definition) }));

async function start({ hub, connection, subscribe }) {
  try {
    await connection.start();
    await subscribe();
  } catch (error) {
    say("refused", hub, { error: error.message });
  }
}

for (const each of hubs) await start(each);

for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...values] = line.split(" ");
  if (command === "restart") for (const each of hubs.filter(({ connection }) => connection.state === "Disconnected")) await start(each);
  if (command === "call") await hubs[0].connection.invoke(...values).catch((error) => say("failed", "user", { error: error.message }));
  if (command === "stop") break;
}
for (const { connection } of hubs) await connection.stop();
process.exit(0);

// Trades against a ProjectX gateway with Microsoft's own hub client and prints what it saw as one JSON object.
// Usage: node client.js BASE_URL USER API_KEY SYMBOL skip|negotiate
import { HubConnectionBuilder, HttpTransportType, LogLevel } from "@microsoft/signalr";

const [baseUrl, userName, apiKey, symbol, mode] = process.argv.slice(2);
const BUY = 0;
const MARKET = 2;

async function post(path, body, token) {
  const headers = { "Content-Type": "application/json", Accept: "text/plain" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(`${baseUrl}/api/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${path}: HTTP ${response.status}`);
  const reply = await response.json();
  if (!reply.success || reply.errorCode !== 0) throw new Error(`${path}: ${JSON.stringify(reply)}`);
  return reply;
}

async function connect(hub, token) {
  const options = { accessTokenFactory: () => token, timeout: 10000 };
  if (mode === "skip") {
    options.skipNegotiation = true;
    options.transport = HttpTransportType.WebSockets;
  }
  const connection = new HubConnectionBuilder()
    .withUrl(`${baseUrl}/hubs/${hub}?access_token=${token}`, options)
    .configureLogging(LogLevel.Error)
    .withAutomaticReconnect()
    .build();
  await connection.start();
  return connection;
}

// Resolves with the list once it holds an element that `isWanted`; events before the call count too.
function waitFor(list, isWanted, what) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${what} in time`)), 10000);
    const look = () => {
      if (!list.some(isWanted)) return setTimeout(look, 10);
      clearTimeout(timer);
      resolve(list);
    };
    look();
  });
}

const { token } = await post("Auth/loginKey", { userName, apiKey });
const { accounts } = await post("Account/search", { onlyActiveAccounts: true }, token);
const { contracts } = await post("Contract/available", { live: false }, token);
const accountId = accounts[0].id;
const contractId = contracts.find((contract) => contract.symbolId === symbol).id;

const market = await connect("market", token);
const user = await connect("user", token);
const seen = { quotes: [], prints: [], accounts: [], orders: [], positions: [], fills: [] };
market.on("GatewayQuote", (id, quote) => {
  seen.quotes.push({ id, quote });
});
market.on("GatewayTrade", (id, prints) => {
  seen.prints.push({ id, prints });
});
user.on("GatewayUserAccount", (event) => {
  seen.accounts.push(event);
});
user.on("GatewayUserOrder", (event) => {
  seen.orders.push(event);
});
user.on("GatewayUserPosition", (event) => {
  seen.positions.push(event);
});
user.on("GatewayUserTrade", (event) => {
  seen.fills.push(event);
});

const answer = await user.invoke("SubscribeAccounts");
for (const method of ["SubscribeOrders", "SubscribePositions", "SubscribeTrades"]) await user.invoke(method, accountId);
for (const method of ["SubscribeContractQuotes", "SubscribeContractTrades"]) await market.invoke(method, contractId);
await waitFor(seen.prints, () => seen.quotes.length >= 5, "quotes and prints");
await waitFor(seen.quotes, ({ quote }) => quote.bestBid && quote.bestAsk && !("lastPrice" in quote), "sparse quote");

const placed = await post("Order/place", { accountId, contractId, type: MARKET, side: BUY, size: 2 }, token);
await waitFor(seen.positions, (event) => event.data.size === 2, "open position");
const open = await post("Position/searchOpen", { accountId }, token);
await post("Position/closeContract", { accountId, contractId }, token);
await waitFor(seen.positions, (event) => event.action === 2, "flat position");
await waitFor(seen.accounts, ({ data }) => data.balance !== seen.accounts[0].data.balance, "balance of the exit");
const after = await post("Position/searchOpen", { accountId }, token);
const refusal = await user.invoke("SubscribeNonsense").catch((error) => error.message);

await market.stop();
await user.stop();
const states = [market.state, user.state];
const result = { ...seen, answer, orderId: placed.orderId, open: open.positions, after: after.positions, refusal, states };
console.log(JSON.stringify(result));

import { headers } from "next/headers";

export default async function Page() {
  const seen = await headers();
  return <p id="hello">Hello from {seen.get("x-forwarded-host")} over {seen.get("x-forwarded-proto")}</p>;
}

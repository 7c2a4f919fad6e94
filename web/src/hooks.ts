import { useEffect, useMemo } from "preact/hooks";

/** An address for what is in memory, for as long as it is shown. */
export function useUrl(blob: Blob | null): string | undefined {
  const url = useMemo(() => (blob ? URL.createObjectURL(blob) : undefined), [blob]);
  useEffect(() => () => void (url && URL.revokeObjectURL(url)), [url]);
  return url;
}

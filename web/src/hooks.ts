import { useEffect, useMemo } from "preact/hooks";

/** Returns an object URL for data in memory, and revokes it when the component is removed. */
export function useUrl(blob: Blob | null): string | undefined {
  const url = useMemo(() => (blob ? URL.createObjectURL(blob) : undefined), [blob]);
  useEffect(() => () => void (url && URL.revokeObjectURL(url)), [url]);
  return url;
}
